"""The `compare` command: a model beside Depth Anything V2 or another baseline on the same pairs."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from lightdepth_runtime.cli.options import AnyDevice, Data, DepthScale, Output, Split, Threads, Wide, Workers
from lightdepth_runtime.cli.scoring import CropName, Focal, MaxDepth, ProtocolName
from lightdepth_runtime.errors import LightDepthError

from .bench import typed_command
from .options import AgainstWeights, Baseline, BaselineSpecFile, ComparedModels, ComparedWith, Domain, Report, Visualize

__all__ = ["compare_command"]


def compare_command(
    data: Data,
    models: ComparedModels = None,
    split: Split = "test",
    depth_scale: DepthScale = None,
    against: ComparedWith = None,
    against_weights: AgainstWeights = None,
    baseline_file: Baseline = None,
    baseline_spec: BaselineSpecFile = None,
    domain: Domain = None,
    device: AnyDevice = "auto",
    threads: Threads = None,
    workers: Workers = None,
    protocol: ProtocolName = None,
    crop: CropName = None,
    max_depth: MaxDepth = None,
    focal: Focal = "off",
    visualize: Visualize = 5,
    wide: Wide = False,
    output: Output = None,
    report: Report = None,
) -> None:
    """Score models and a baseline on the same pairs.

    Each is scored in raw metres, median-aligned, and aligned by scale and shift, as far as its output allows.
    """
    from lightdepth_runtime.atomic import make_folder, result_folder
    from lightdepth_runtime.bench.machine import usable_cores
    from lightdepth_runtime.estimator import DepthEstimator
    from lightdepth_runtime.evaluation.protocol import NYU_RANGE_M, ProtocolParts, choose_protocol
    from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit
    from lightdepth_runtime.pairs import load_pairs, spread_indices
    from lightdepth_runtime.parallel import worker_count
    from lightdepth_runtime.progress import track
    from lightdepth_runtime.table import print_table

    from ..baselines.names import DEPTH_ANYTHING_SMALL
    from ..compare.candidates import open_baseline_file, open_candidates, open_named_baseline
    from ..compare.compare import compare
    from ..report.comparison.folder import write_comparison
    from ..report.comparison.page import write_compare_report
    from ..report.comparison.tables import accuracy_table, models_table

    if baseline_spec and not baseline_file:
        raise LightDepthError("--baseline-spec says how to feed --baseline FILE; give that file too.")
    pairs = load_pairs(data, split, unit=depth_scale)
    threads = threads or usable_cores()
    if against is None and (against_weights or (len(models or []) < 2 and models != [DEPTH_ANYTHING_SMALL])):
        against = DEPTH_ANYTHING_SMALL
    with ExitStack() as stack:
        beside = []
        if baseline_file:
            beside = [open_baseline_file(stack, baseline_file, baseline_spec, device, threads)]
        elif against:
            beside = [open_named_baseline(stack, against, against_weights or "hub", device, threads)]
        options = {"domain": domain, "device": device, "threads": threads}
        candidates = open_candidates(stack, models or [None], pairs, beside=beside, **options)
        keep = spread_indices(len(pairs), visualize)
        count = worker_count(workers, len(pairs))
        progress = partial(track, label="Comparing")
        parts = ProtocolParts(crop=crop, max_depth_m=max_depth, focal=focal == "on")
        ranges_m = [e.predictor.spec.max_depth_m for e in candidates if isinstance(e.predictor, DepthEstimator)]
        chosen = choose_protocol(protocol, parts, packaging=pairs.packaging, range_m=max(ranges_m, default=NYU_RANGE_M))
        warn_of_unit(pairs, max_depth_m=chosen.max_depth_m)
        comparison, frames = compare(candidates, pairs, protocol=chosen, keep=keep, workers=count, progress=progress)
    with result_folder(output, "compare") as folder:
        written = write_comparison(folder, comparison, frames, candidates, typed_command())
        if report:
            pictures = written[2:]
            written.insert(2, write_compare_report(make_folder(report), comparison, pictures, typed_command(), threads))
    if comparison.left_out:
        print(f"{comparison.left_out} of {len(pairs)} pairs have no valid depth and were left out.")
    for note in comparison.notes():
        print(note)
    print_table(models_table(comparison), wide=wide)
    for chosen in comparison.protocols():
        print_table(accuracy_table(comparison, chosen), wide=wide)
    print(f"Wrote {', '.join(str(path) for path in written[: len(written) - len(frames)])} and {len(frames)} pictures")
