"""The `compare` command: a model beside Depth Anything V2 or another baseline on the same pairs."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from lightdepth_runtime.cli.evaluate import tracker
from lightdepth_runtime.cli.options import (
    AnyDevice,
    CropName,
    Data,
    DepthScale,
    MaxDepth,
    Model,
    Output,
    ProtocolName,
    Split,
    Threads,
    Wide,
)
from lightdepth_runtime.errors import LightDepthError

from .bench import typed_command
from .options import Baseline, BaselineSpecFile, ComparedWeights, ComparedWith, Domain, Report, Visualize

__all__ = ["compare_command"]


def compare_command(
    data: Data,
    model: Model = None,
    split: Split = "test",
    depth_scale: DepthScale = None,
    against: ComparedWith = "depth-anything-v2-small",
    against_weights: ComparedWeights = "hub",
    baseline_file: Baseline = None,
    baseline_spec: BaselineSpecFile = None,
    domain: Domain = None,
    device: AnyDevice = "auto",
    threads: Threads = None,
    protocol: ProtocolName = None,
    crop: CropName = None,
    max_depth: MaxDepth = None,
    visualize: Visualize = 5,
    wide: Wide = False,
    output: Output = None,
    report: Report = None,
) -> None:
    """Score a model and a baseline on the same pairs: raw, median-aligned, and scale-and-shift-aligned."""
    from lightdepth_runtime.atomic import make_folder, result_folder
    from lightdepth_runtime.backends.baseline import BaselineBackend
    from lightdepth_runtime.bench.machine import usable_cores
    from lightdepth_runtime.estimator import DepthEstimator
    from lightdepth_runtime.evaluation.protocol import ProtocolParts, choose_protocol
    from lightdepth_runtime.pairs import load_pairs, spread_indices
    from lightdepth_runtime.table import print_table

    from ..compare.candidates import baseline_entrant, foreign_entrant, lightdepth_entrant
    from ..compare.compare import compare
    from ..report.compare import write_comparison
    from ..report.compare_html import write_compare_report
    from ..report.compare_tables import accuracy_table, models_table

    open_rival = _rival_opener(against, against_weights, baseline_file, baseline_spec)
    pairs = load_pairs(data, split, unit=depth_scale)
    threads = threads or usable_cores()
    with DepthEstimator.load(model, device, threads) as ours, closing(open_rival(device, threads)) as baseline:
        rival = foreign_entrant(baseline) if isinstance(baseline, BaselineBackend) else baseline_entrant(baseline)
        entrants = [rival, lightdepth_entrant(ours, pairs, domain)]
        keep = spread_indices(len(pairs), visualize)
        progress = tracker("Comparing", len(pairs))
        parts = ProtocolParts(crop=crop, max_depth_m=max_depth)
        chosen = choose_protocol(protocol, parts, packaging=pairs.packaging, range_m=ours.spec.max_depth_m)
        comparison, frames = compare(entrants, pairs, protocol=chosen, keep=keep, progress=progress)
    with result_folder(output, "compare") as folder:
        written = write_comparison(folder, comparison, frames, entrants, typed_command())
        if report:
            pictures = written[2:]
            written.insert(2, write_compare_report(make_folder(report), comparison, pictures, typed_command(), threads))
    print_table(models_table(comparison), wide=wide)
    winners = comparison.winners()
    for chosen in comparison.protocols():
        table = accuracy_table(comparison.rows_under(chosen), winners.get(chosen.id, {}))
        print_table(table, wide=wide)
    print(f"Wrote {', '.join(str(path) for path in written[: len(written) - len(frames)])} and {len(frames)} pictures")


def _rival_opener(
    against: str, weights: str, model: Path | None, spec: Path | None
) -> Callable[[str, int], Any]:  # Any: a Baseline, whose module is only imported to run one, or a BaselineBackend
    """Choose the baseline: a file with its spec, or one that is known by name."""
    if (model is None) != (spec is None):
        raise LightDepthError("--baseline and --baseline-spec belong together; give both or neither.")
    if model is not None and spec is not None:
        from lightdepth_runtime.backends.baseline import open_foreign

        return partial(open_foreign, model, spec)

    from ..baselines.baseline import Baseline, check_baseline_name

    check_baseline_name(against)
    return lambda _, threads: Baseline(weights, against, threads=threads)
