"""The `compare` command: our model beside Depth Anything V2 on the same pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lightdepth_runtime.atomic import make_folder
from lightdepth_runtime.backends.baseline import BaselineBackend, open_foreign
from lightdepth_runtime.bench.machine import usable_cores
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import PairSet, load_pairs, spread_indices
from lightdepth_runtime.progress import track
from lightdepth_runtime.spec import ModelSpec

from ..compare.compare import Comparison, Entrant, compare
from ..report.compare import write_comparison
from ..report.compare_html import write_compare_report
from .bench import typed_command

__all__ = ["baseline_entrant", "compare_command", "domain_of", "foreign_entrant", "lightdepth_entrant"]

NYU_PACKAGINGS = frozenset({"kaggle", "labelled mat"})  # two packagings of NYU Depth V2


def compare_command(
    model: Annotated[Path | None, typer.Argument(help="A model file; the shipped model if omitted.")] = None,
    data: Annotated[Path, typer.Option(help="Folder or pair list with ground truth.")] = ...,  # type: ignore[assignment]  # Typer: required
    split: Annotated[str, typer.Option(help="Which split of a folder.")] = "test",
    against: Annotated[str, typer.Option(help="The baseline.")] = "depth-anything-v2-small",
    against_weights: Annotated[
        str, typer.Option(help="The baseline's weights: hub, random (speed and size alone), or a folder.")
    ] = "hub",
    baseline_file: Annotated[
        Path | None, typer.Option("--baseline", help="Any ONNX depth model, in place of --against.")
    ] = None,
    baseline_spec: Annotated[
        Path | None, typer.Option(help="How to feed it: JSON with kind (relative-inverse or metric), input_height ...")
    ] = None,
    protocol: Annotated[str, typer.Option(help="Named protocol: crop, range and averaging.")] = "eigen",
    domain: Annotated[
        str | None,
        typer.Option(help="Say how the model's training data relates to the pairs: in-domain or zero-shot."),
    ] = None,
    visualize: Annotated[int, typer.Option(min=0, help="How many pictures, spread evenly over the pairs.")] = 5,
    output: Annotated[Path, typer.Option(help="Folder for compare.md, compare.json and the pictures.")] = Path(
        "output"
    ),
    report: Annotated[Path | None, typer.Option(help="Folder for compare.html, a page with everything in it.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of both models; the cores by default.")
    ] = None,
) -> None:
    """Score a model and a baseline on the same pairs: raw, median-aligned, and scale-and-shift-aligned."""
    open_rival = _rival_opener(against, against_weights, baseline_file, baseline_spec)
    pairs = load_pairs(data, split)
    threads = threads or usable_cores()
    with DepthEstimator.load(model, device, threads) as ours, closing(open_rival(device, threads)) as baseline:
        rival = foreign_entrant(baseline) if isinstance(baseline, BaselineBackend) else baseline_entrant(baseline)
        entrants = [rival, lightdepth_entrant(ours, pairs, domain)]

        def progress(items: Iterable[Any]) -> Iterable[Any]:  # Any: passes the pairs through
            return track(items, "Comparing", len(pairs))

        comparison, frames = compare(
            entrants, pairs, protocol=protocol, keep=spread_indices(len(pairs), visualize), progress=progress
        )
    written = write_comparison(output, comparison, frames, entrants, typed_command())
    if report:
        pictures = written[2:]
        written.insert(2, write_compare_report(make_folder(report), comparison, pictures, typed_command(), threads))
    console = Console()
    for table in comparison_tables(comparison):
        console.print(table)
    console.print(
        f"Wrote {', '.join(str(path) for path in written[: len(written) - len(frames)])} and {len(frames)} pictures",
        soft_wrap=True,
    )


def _rival_opener(
    against: str, weights: str, model: Path | None, spec: Path | None
) -> Callable[[str, int], Any]:  # Any: a Baseline, whose module is only imported to run one, or a BaselineBackend
    """Choose the baseline: a file with its spec, or one that is known by name."""
    if (model is None) != (spec is None):
        raise LightDepthError("--baseline and --baseline-spec belong together; give both or neither.")
    if model is not None and spec is not None:
        return partial(open_foreign, model, spec)
    from ..baselines.baseline import Baseline, check_baseline_name

    check_baseline_name(against)
    return lambda _, threads: Baseline(weights, against, threads=threads)


def foreign_entrant(backend: BaselineBackend) -> Entrant:
    """Enter a network that a spec file describes; nothing is known of its training data."""
    spec = backend.spec
    domain = "untrained" if spec.is_random else "other data"
    return Entrant(spec.name, backend, spec.kind, spec.parameters, spec.weights, "not stated", domain)


def lightdepth_entrant(estimator: DepthEstimator, pairs: PairSet, stated_domain: str | None = None) -> Entrant:
    """Enter a LightDepth model; its spec says what it was trained on.

    Raises:
        LightDepthError: a stated domain that is neither in-domain nor zero-shot.
    """
    if stated_domain not in (None, "in-domain", "zero-shot"):
        raise LightDepthError(f"--domain is in-domain or zero-shot, not {stated_domain!r}.")
    spec = estimator.spec
    domain = domain_of(spec, pairs)
    if stated_domain and domain != "untrained":
        domain = stated_domain
    weights = "random" if domain == "untrained" else "trained"
    return Entrant(spec.name, estimator, "metric", spec.parameters, weights, spec.training_data, domain)


def baseline_entrant(baseline: Any) -> Entrant:  # Any: a Baseline, whose module is only imported to run one
    """Enter a baseline: as released it never saw the pairs' training set, of other weights nothing is known."""
    model = baseline.model
    training, domain = {
        "hub": ("its authors' mixture", "zero-shot"),
        "random": ("nothing", "untrained"),
    }.get(model.weights, (f"unknown ({model.weights})", "other data"))
    return Entrant(model.name, baseline, model.kind, model.parameters, model.weights, training, domain)


def domain_of(spec: ModelSpec, pairs: PairSet) -> str:
    """Say whether a model was trained on data of the same name or packaging family as the pairs.

    The spec names its training data as `NAME (PACKAGING, N pairs)`. Another name may still be the same recordings
    in another folder, so it is called "other data" and both names are printed.
    """
    if spec.training_data == "not trained":
        return "untrained"
    name, _, rest = spec.training_data.partition(" (")
    packaging = rest.partition(",")[0]
    same_family = packaging in NYU_PACKAGINGS and pairs.packaging in NYU_PACKAGINGS
    return "in-domain" if same_family or name == pairs.name else "other data"


def comparison_tables(comparison: Comparison) -> list[Table]:
    """Lay out the main metrics for a terminal, one table a protocol; compare.md has all of them."""
    tables = []
    for protocol in (*comparison.protocols(), None):
        rows = [row for row in comparison.rows if row.protocol == protocol]
        if not rows:
            continue
        title = protocol.describe() if protocol else "Random weights: accuracy not shown"
        table = Table(title=title, title_justify="left")
        for name in ("model", "domain"):
            table.add_column(name, overflow="fold")
        for name in ("RMSE, m", "AbsRel", "SILog", "delta1", "ms a frame"):
            table.add_column(name, justify="right")
        for row in comparison.rows:
            if row.protocol == protocol:
                m = row.metrics
                cells = (
                    (f"{m.rmse_m:.3f}", f"{m.abs_rel:.3f}", f"{m.silog:.2f}", f"{m.delta1:.3f}") if m else ("-",) * 4
                )
                table.add_row(row.model, row.domain, *cells, f"{row.latency_ms_p50:.1f}")
        tables.append(table)
    return tables
