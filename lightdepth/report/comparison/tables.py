"""The tables of a comparison; the terminal, compare.md and compare.html show the same ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lightdepth_runtime.bench.table import milliseconds
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.protocol import Averaging, Protocol
from lightdepth_runtime.evaluation.scores import Scores
from lightdepth_runtime.table import Cell, Column, Table, number

from ...compare.compare import ComparedModel, Comparison

__all__ = ["ALIGNMENTS", "accuracy_table", "error_tables", "interval_note", "models_table", "other_average_table"]

ALIGNMENTS = {"none": "none (raw metres)", "median": "median", "scale-shift": "scale and shift in disparity"}
KINDS = {"metric": "metric (metres)", "relative-inverse": "relative inverse depth"}
OTHER_AVERAGES = {"pooled": "pooled over all pixels", "per-image": "mean of images"}
MODEL_COLUMNS: tuple[tuple[Column, Callable[[ComparedModel], Cell | str]], ...] = (
    (Column("model", is_words=True), lambda model: model.name),
    (Column("whole call, ms"), lambda model: milliseconds(model.latency_ms_p50)),
    (Column("backend", is_words=True), lambda model: model.backend),
    (Column("parameters"), lambda model: number(model.parameters or None, ",")),
    (Column("domain", is_words=True), lambda model: model.domain),
    (Column("output", is_words=True, is_extra=True), lambda model: KINDS[model.kind]),
    (Column("weights", is_words=True, is_extra=True), lambda model: model.weights),
    (Column("trained on", is_words=True, is_extra=True), lambda model: model.training),
)
METRICS = (
    (Column("RMSE, m"), "rmse_m", ".3f"),
    (Column("MAE, m", is_extra=True), "mae_m", ".3f"),
    (Column("AbsRel"), "abs_rel", ".4f"),
    (Column("SqRel, m", is_extra=True), "sq_rel", ".4f"),
    (Column("log10", is_extra=True), "log10", ".4f"),
    (Column("SILog"), "silog", ".2f"),
    (Column("delta1"), "delta1", ".3f"),
    (Column("delta2", is_extra=True), "delta2", ".3f"),
    (Column("delta3", is_extra=True), "delta3", ".3f"),
)
HEADS = (Column("model", is_words=True), *(column for column, _, _ in METRICS))
SHORT = tuple(metric for metric in METRICS if metric[1] in ("rmse_m", "abs_rel", "delta1"))


def models_table(comparison: Comparison) -> Table:
    """Return one line a model: what it is and how fast it was."""
    columns, cells = zip(*MODEL_COLUMNS, strict=True)
    rows = [[cell(model) for cell in cells] for model in comparison.models]
    return Table("The models; median of the whole call on a frame", columns, rows)


def accuracy_table(comparison: Comparison, protocol: Protocol) -> Table:
    """Return the scores under one protocol, the best of each metric marked, its 95 % interval below each."""
    winners = comparison.winners().get(protocol.id, {})
    lines = []
    for model in comparison.scored(protocol):
        figures = []
        for _, name, style in METRICS:
            low, high = (format(limit, style) for limit in model.scores[protocol].interval[name])
            value = getattr(model.metrics(protocol), name)
            figures.append(number(value, style, note=f"{low}..{high}", is_best=winners.get(name) == model.name))
        lines.append([Cell(model.name, note=model.domain), *figures])
    return Table(protocol.describe(), HEADS, lines)


def other_average_table(comparison: Comparison, protocol: Protocol) -> Table:
    """Return the same scores under the average that the protocol does not call its result."""
    other: Averaging = "pooled" if protocol.averaging == "per-image" else "per-image"
    models = comparison.scored(protocol)
    lines = [[model.name, *_figures(model.scores[protocol].headline(other), METRICS)] for model in models]
    return Table(f"The same, {OTHER_AVERAGES[other]}", HEADS, lines)


def interval_note(comparison: Comparison, protocol: Protocol) -> str:
    """Say what the intervals of a table are."""
    models = comparison.scored(protocol)
    drawn = " and ".join(sorted({model.scores[protocol].resampled for model in models}))
    best = "; marked: the best of the table." if len(models) > 1 else "."
    return f"Below each figure its 95 % bootstrap interval over {drawn}{best}"


def error_tables(scores: Scores, most: int) -> list[Table]:
    """Break a model's errors down by depth, scene and image; at most `most` scenes and images."""
    heads = [column for column, _, _ in SHORT]
    ranges = [
        [
            Cell(f"{p.low_m:g} m and more" if p.high_m is None else f"{p.low_m:g} to {p.high_m:g} m", p.low_m),
            number(p.pixels, ","),
            *_figures(p.metrics, SHORT),
        ]
        for p in scores.ranges
    ]
    tables = [Table("By true depth", (Column("truth", is_words=True), Column("pixels"), *heads), ranges)]
    scenes = scores.scenes
    if len(scenes) > 1:
        lines = [[s.scene, number(s.samples, "d"), *_figures(s.metrics, SHORT)] for s in scenes[:most]]
        columns = (Column("scene", is_words=True), Column("images"), *heads)
        tables.append(Table(f"By scene, the worst of {len(scenes)}", columns, lines))
    worst = [[i.name, i.scene or "-", *_figures(i.metrics, SHORT)] for i in scores.worst[:most]]
    columns = (Column("image", is_words=True), Column("scene", is_words=True), *heads)
    return [*tables, Table("Worst images", columns, worst)]


def _figures(metrics: DepthMetrics, wanted: Sequence[tuple[Column, str, str]]) -> list[Cell]:
    return [number(getattr(metrics, name), style) for _, name, style in wanted]
