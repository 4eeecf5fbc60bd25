"""A comparison as one HTML page: the tables, the plots, the pictures, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.protocol import Protocol

from ..compare.compare import Comparison, Row
from . import (
    Cell,
    Point,
    box,
    command_box,
    embed_png,
    heading,
    number,
    page,
    paragraph,
    picture,
    plots,
    scatter_svg,
    table,
)
from .bench import machine_box
from .compare import ALIGNMENTS, COLUMNS, KINDS

__all__ = ["compare_html", "write_compare_report"]

MODEL_COLUMNS = ("model", "whole call, median ms", "parameters", "domain", "output", "weights", "trained on")
WORST_SHOWN = 10


def write_compare_report(
    folder: Path, comparison: Comparison, pictures: Sequence[Path], command: Sequence[str], threads: int
) -> Path:
    """Write `compare.html`, with the pictures inside, into a folder that exists, and return its path.

    Raises:
        LightDepthError: the file can't be written.
    """
    path = folder / "compare.html"
    write_text(path, compare_html(comparison, pictures, command, threads))
    return path


def compare_html(comparison: Comparison, pictures: Sequence[Path], command: Sequence[str], threads: int) -> str:
    """Build the page from the tables and the PNG files of the panels."""
    winners = comparison.winners()
    parts = [
        paragraph(
            f"{comparison.samples} pairs of {comparison.data} ({comparison.packaging}, {comparison.split}). "
            "Every model saw each pair once; each table has one protocol, and no model wins across two tables."
        ),
        heading("Models"),
        table(MODEL_COLUMNS, [_model_cells(row) for row in _models(comparison)], label="The models"),
    ]
    parts += [
        paragraph(f"{row.model} has random weights: its accuracy would mean nothing and is not shown.", "warn")
        for row in _models(comparison)
        if row.scores is None
    ]
    for protocol in comparison.protocols():
        rows = [row for row in comparison.rows if row.protocol == protocol]
        parts += [heading(f"Alignment: {ALIGNMENTS[protocol.alignment]}")]
        parts += _accuracy_table(rows, winners.get(protocol.id, {}))
        if len(rows) > 1:  # one point says nothing that the table doesn't
            parts.append(_plots(rows))
    if pictures:
        parts += [heading("Pictures"), paragraph("One scale in metres a row, taken from the ground truth.", "quiet")]
        parts += [picture(embed_png(path), f"Pair {n} of {len(pictures)}") for n, path in enumerate(pictures, 1)]
    parts += _where_the_errors_are(comparison)
    parts += [heading("Protocol"), _protocol_box(comparison), heading("Machine")]
    parts += [machine_box(describe_machine().to_dict()), paragraph(f"{threads} threads for every model.", "quiet")]
    parts += [heading("Command"), command_box(command)]
    return page("LightDepth comparison", parts)


def _models(comparison: Comparison) -> list[Row]:
    """Return one row a model."""
    return list({row.model: row for row in reversed(comparison.rows)}.values())[::-1]


def _model_cells(row: Row) -> list[Cell | str]:
    return [
        row.model,
        number(row.latency_ms_p50, ".1f"),
        number(row.parameters or None, ","),
        row.domain,
        KINDS[row.kind],
        row.weights,
        Cell(row.training, is_words=True),
    ]


def _accuracy_table(rows: Sequence[Row], winners: dict[str, str]) -> list[str]:
    cells, resampled = [], set()
    for row in rows:
        assert row.scores is not None, "a row with a protocol has scores"
        figures = []
        for _, name, style in COLUMNS:
            low, high = (format(limit, style) for limit in row.scores.interval[name])
            value = getattr(row.metrics, name)
            figures.append(number(value, style, note=f"{low}..{high}", is_best=winners.get(name) == row.model))
        cells.append([Cell(row.model, note=row.domain), *figures])
        resampled.add(row.scores.resampled)
    note = f"Below each figure its 95 % interval over {' and '.join(sorted(resampled))} drawn anew"
    best = "; marked: the best of the table." if winners else "."
    heads = ("model", *(label for label, _, _ in COLUMNS))
    return [table(heads, cells, label="Accuracy under one protocol"), paragraph(note + best, "quiet")]


def _plots(rows: Sequence[Row]) -> str:
    caption = "Lower left is better; bars are 95 % intervals."
    drawn = [("whole call, median ms", [_point(row, row.latency_ms_p50) for row in rows])]
    if sized := [_point(row, row.parameters / 1e6) for row in rows if row.parameters]:
        drawn.append(("parameters, millions", sized))
    return plots([(scatter_svg(points, label, "AbsRel"), caption) for label, points in drawn])


def _point(row: Row, x: float) -> Point:
    assert row.scores is not None, "a row with a protocol has scores"
    assert row.metrics is not None, "a row with a protocol has metrics"
    return Point(row.model, x, row.metrics.abs_rel, *row.scores.interval["abs_rel"])


def _where_the_errors_are(comparison: Comparison) -> list[str]:
    """Break each model's first alignment down by depth, and name its worst images."""
    parts: list[str] = []
    for row in _models(comparison):
        if row.scores is None or row.protocol is None:
            continue
        heads = ("RMSE, m", "AbsRel", "delta1")
        ranges = [
            [
                Cell(f"{p.low_m:g} m and more" if p.high_m is None else f"{p.low_m:g} to {p.high_m:g} m", p.low_m),
                number(p.pixels, ","),
                *_short(p.metrics),
            ]
            for p in row.scores.ranges
        ]
        worst = [[i.name, i.scene or "-", *_short(i.metrics)] for i in row.scores.worst[:WORST_SHOWN]]
        parts += [heading(f"Where {row.model} errs"), paragraph(f"Alignment: {ALIGNMENTS[row.protocol.alignment]}.")]
        parts += [heading("By true depth", 3), table(("truth", "pixels", *heads), ranges, label="Errors by depth")]
        if len(row.scores.scenes) > 1:
            scenes = [[s.scene, number(s.samples, "d"), *_short(s.metrics)] for s in row.scores.scenes]
            parts += [heading("By scene", 3), table(("scene", "images", *heads), scenes, label="Errors by scene")]
        parts += [heading("Worst images", 3), table(("image", "scene", *heads), worst, label="Worst images")]
    return parts


def _short(metrics: DepthMetrics) -> list[Cell]:
    return [number(metrics.rmse_m, ".3f"), number(metrics.abs_rel, ".4f"), number(metrics.delta1, ".3f")]


def _protocol_box(comparison: Comparison) -> str:
    entries = {"Name": comparison.base.name, "Range of the truth": _metres(comparison.base)}
    for protocol in comparison.protocols():
        entries[ALIGNMENTS[protocol.alignment].capitalize()] = f"{protocol.describe()}; id {protocol.id}"
    return box(entries)


def _metres(protocol: Protocol) -> str:
    return f"{protocol.min_depth_m:g} to {protocol.max_depth_m:g} m"
