"""A comparison as one HTML page: the tables, the plots, the pictures, and what they rest on."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.protocol import Protocol

from ...compare.compare import ComparedModel, Comparison
from ..bench import machine_box
from ..page import box, command_box, embed_png, heading, page, paragraph, picture, plots
from ..scatter import Point, scatter_svg
from ..table import html_table
from .tables import (
    ALIGNMENTS,
    accuracy_table,
    error_tables,
    interval_note,
    models_table,
    other_average_table,
)

__all__ = ["compare_html", "write_compare_report"]

WORST_SHOWN = 10  # scenes and images


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
    parts = [
        paragraph(
            f"{comparison.describe_pairs()} Every model saw each once; each table has one protocol, and no model "
            "wins across two tables."
        ),
        heading("Models"),
        html_table(models_table(comparison)),
        *(paragraph(note, "warn") for note in comparison.notes()),
    ]
    for protocol in comparison.protocols():
        parts += [
            heading(f"Alignment: {ALIGNMENTS[protocol.alignment]}"),
            html_table(accuracy_table(comparison, protocol)),
            paragraph(interval_note(comparison, protocol), "quiet"),
        ]
        other = other_average_table(comparison, protocol)
        parts += [heading(other.title, 3), html_table(other)]
        if len(models := comparison.scored(protocol)) > 1:  # one point says nothing that the table doesn't
            parts.append(_plots(models, protocol))
    if pictures:
        parts += [heading("Pictures"), paragraph("One scale in metres a row, taken from the ground truth.", "quiet")]
        parts += [picture(embed_png(path), f"Pair {n} of {len(pictures)}") for n, path in enumerate(pictures, 1)]
    for model, protocol in comparison.first_scored():
        parts += [heading(f"Where {model.name} errs"), paragraph(f"Alignment: {ALIGNMENTS[protocol.alignment]}.")]
        for table in error_tables(model.scores[protocol], WORST_SHOWN):
            parts += [heading(table.title, 3), html_table(table)]
    parts += [heading("Protocol"), _protocol_box(comparison), heading("Machine")]
    parts += [machine_box(describe_machine().to_dict()), paragraph(f"{threads} threads for every model.", "quiet")]
    parts += [heading("Command"), command_box(command)]
    return page("LightDepth comparison", parts)


def _plots(models: Sequence[ComparedModel], protocol: Protocol) -> str:
    def point(model: ComparedModel, x: float) -> Point:
        low, high = model.scores[protocol].interval["abs_rel"]
        return Point(model.name, x, model.metrics(protocol).abs_rel, low, high)

    caption = "Lower left is better; bars are 95 % intervals."
    drawn = [("whole call, median ms", [point(model, model.latency_ms_p50) for model in models])]
    if sized := [point(model, model.parameters / 1e6) for model in models if model.parameters]:
        drawn.append(("parameters, millions", sized))
    return plots([(scatter_svg(points, label, "AbsRel"), caption) for label, points in drawn])


def _protocol_box(comparison: Comparison) -> str:
    base = comparison.base
    entries = {"Name": base.name, "Range of the truth": f"{base.min_depth_m:g} to {base.max_depth_m:g} m"}
    for protocol in comparison.protocols():
        entries[ALIGNMENTS[protocol.alignment].capitalize()] = f"{protocol.describe()}; id {protocol.id}"
    return box(entries)
