"""A comparison as Markdown and as pictures."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import make_folder, write_json, write_text
from lightdepth_runtime.evaluation.alignment import fit_alignment
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.protocol import Averaging, Protocol
from lightdepth_runtime.images.preprocess import resize_depth

from ..compare.compare import ComparedFrame, Comparison, Entrant, Row
from ..compare.panels import Depth, DepthError, Note, Panel, Photo, draw_panels, photo_title, signed_error

__all__ = ["compare_markdown", "compare_panel", "write_comparison"]

COLUMNS = (
    ("RMSE, m", "rmse_m", ".3f"),
    ("MAE, m", "mae_m", ".3f"),
    ("AbsRel", "abs_rel", ".4f"),
    ("SqRel, m", "sq_rel", ".4f"),
    ("log10", "log10", ".4f"),
    ("SILog", "silog", ".2f"),
    ("delta1", "delta1", ".3f"),
    ("delta2", "delta2", ".3f"),
    ("delta3", "delta3", ".3f"),
)
SHOWN = 5
OTHER_AVERAGES = {"pooled": "pooled over all pixels", "per-image": "mean of images"}
KINDS = {"metric": "metric (metres)", "relative-inverse": "relative inverse depth"}
ALIGNMENTS = {"none": "none (raw metres)", "median": "median", "scale-shift": "scale and shift in disparity"}


def write_comparison(
    folder: Path,
    comparison: Comparison,
    frames: Sequence[ComparedFrame],
    entrants: Sequence[Entrant],
    command: Sequence[str] = (),
) -> list[Path]:
    """Write `panel_NN.png`, `compare.json` and `compare.md`; the tables come last, when all they name is there.

    Raises:
        LightDepthError: the folder can't be written.
    """
    make_folder(folder)
    pictures = [folder / f"panel_{number:02d}.png" for number in range(1, len(frames) + 1)]
    for path, frame in zip(pictures, frames, strict=True):
        draw_panels(compare_panel(frame, entrants, comparison.base), path)
    names = [path.name for path in pictures]
    write_json(folder / "compare.json", {**comparison.to_dict(), "panels": names})
    write_text(folder / "compare.md", compare_markdown(comparison, names, command))
    return [folder / "compare.md", folder / "compare.json", *pictures]


def compare_markdown(comparison: Comparison, pictures: Sequence[str] = (), command: Sequence[str] = ()) -> str:
    """Write the tables, one a protocol: figures of different protocols never share one."""
    lines = [
        "# Comparison",
        "",
        f"{comparison.samples} pairs of {comparison.data} ({comparison.packaging}, {comparison.split}).",
        "",
        *_models(comparison),
    ]
    winners = comparison.winners()
    for protocol in comparison.protocols():
        rows = [row for row in comparison.rows if row.protocol == protocol]
        lines += ["", f"## Alignment: {ALIGNMENTS[protocol.alignment]}", "", f"Protocol {protocol.describe()}."]
        lines += [f"Id `{protocol.id}`.", "", *_table(rows, winners.get(protocol.id, {}))]
    lines += ["", "Figures of different protocols are not comparable, so no model wins across two tables."]
    lines += _where_the_errors_are(comparison)
    if pictures:
        lines += ["", "## Pictures", "", "One scale in metres a row, taken from the ground truth.", ""]
        lines += [f"![{name}]({name})\n" for name in pictures]
    if command:
        lines += ["", "Command:", "", f"    {shlex.join(command)}"]
    return "\n".join(lines).rstrip() + "\n"


def compare_panel(frame: ComparedFrame, entrants: Sequence[Entrant], base: Protocol) -> list[Panel]:
    """Build two rows: input, truth and every model on one scale in metres; below, the models' errors."""
    top: list[Photo | Depth | Note] = [
        Photo(photo_title(frame.name), frame.image),
        Depth("Ground truth", frame.truth_m),
    ]
    below: list[Note | DepthError] = [Note(""), Note(f"{frame.scene}\n\nprediction - truth")]
    for entrant in entrants:
        prediction = frame.predictions.get(entrant.name)
        if prediction is None:
            top.append(Note(f"{entrant.name}\n\nrandom weights:\nno depth to show"))
            below.append(Note(""))
            continue
        metres, how = _in_metres(prediction, frame.truth_m, entrant, base)
        top.append(Depth(f"{entrant.name}\n{how}", metres))
        below.append(DepthError(f"Error, {how}", signed_error(metres, frame.truth_m)))
    return [Panel(tuple(top)), Panel(tuple(below))]


def _in_metres(
    prediction: NDArray[np.float32], truth_m: NDArray[np.float32], entrant: Entrant, base: Protocol
) -> tuple[NDArray[np.floating], str]:
    """Bring a prediction to metres of the truth's size: raw where it is metric, else by its own alignment."""
    protocol = replace(base, alignment=entrant.alignments[0])
    resized = resize_depth(prediction, truth_m.shape[0], truth_m.shape[1])
    mask = protocol.valid(truth_m)
    fit = fit_alignment(resized[mask], truth_m[mask], protocol.alignment, entrant.kind)
    metres = np.clip(fit.apply(resized), protocol.min_depth_m, protocol.max_depth_m)
    return metres, "raw metres" if protocol.alignment == "none" else "scale and shift fitted"


def _models(comparison: Comparison) -> list[str]:
    lines = [
        "| model | output | parameters | weights | trained on | domain | whole call, median ms |",
        "|---|---|---|---|---|---|---|",
    ]
    seen: dict[str, Row] = {row.model: row for row in comparison.rows}
    for row in seen.values():
        lines.append(
            f"| {row.model} | {KINDS[row.kind]} | {row.parameters:,} | {row.weights} | {row.training} | {row.domain} "
            f"| {row.latency_ms_p50:.1f} |"
        )
    for row in seen.values():
        if row.metrics is None:
            lines += ["", f"{row.model} has random weights: its accuracy would mean nothing and is not shown."]
    return lines


def _table(rows: Sequence[Row], winners: dict[str, str]) -> list[str]:
    """Lay out the headline averages with their intervals, then the other average."""
    lines = [f"| model | {' | '.join(label for label, _, _ in COLUMNS)} |", f"|---|{'---|' * len(COLUMNS)}"]
    notes = set()
    for row in rows:
        assert row.scores is not None, "a row with a protocol has scores"
        cells, other = [], []
        for _, name, style in COLUMNS:
            text = format(getattr(row.metrics, name), style)
            low, high = row.scores.interval[name]
            best = f"**{text}**" if winners.get(name) == row.model else text
            cells.append(f"{best}<br>{format(low, style)}..{format(high, style)}")
            other.append(format(getattr(row.scores.headline(_other(row)), name), style))
        lines.append(f"| {row.model} ({row.domain}) | {' | '.join(cells)} |")
        lines.append(f"| {row.model}, {OTHER_AVERAGES[_other(row)]} | {' | '.join(other)} |")
        notes.add(row.scores.resampled)
    drawn = " and ".join(sorted(notes))
    return [*lines, "", f"Below each figure its 95 % interval over {drawn} drawn anew; bold: the best of the table."]


def _other(row: Row) -> Averaging:
    return "pooled" if row.protocol is not None and row.protocol.averaging == "per-image" else "per-image"


def _where_the_errors_are(comparison: Comparison) -> list[str]:
    """Break each model's first alignment down by depth, scene and image."""
    lines: list[str] = []
    for row in {row.model: row for row in reversed(comparison.rows) if row.scores}.values():
        assert row.scores is not None, "chosen above"
        assert row.protocol is not None, "a row with scores has a protocol"
        lines += ["", f"## Where {row.model} errs", "", f"Alignment: {ALIGNMENTS[row.protocol.alignment]}.", ""]
        lines += ["| truth | pixels | RMSE, m | AbsRel | delta1 |", "|---|---|---|---|---|"]
        for part in row.scores.ranges:
            limits = f"{part.low_m:g} m and more" if part.high_m is None else f"{part.low_m:g}..{part.high_m:g} m"
            lines.append(f"| {limits} | {part.pixels:,} | {_short(part.metrics)} |")
        if len(row.scores.scenes) > 1:
            lines += ["", f"| worst of {len(row.scores.scenes)} scenes | images | RMSE, m | AbsRel | delta1 |"]
            lines += ["|---|---|---|---|---|"]
            lines += [f"| {s.scene} | {s.samples} | {_short(s.metrics)} |" for s in row.scores.scenes[:SHOWN]]
        lines += ["", "| worst images | scene | RMSE, m | AbsRel | delta1 |", "|---|---|---|---|---|"]
        lines += [f"| {i.name} | {i.scene} | {_short(i.metrics)} |" for i in row.scores.worst[:SHOWN]]
    return lines


def _short(metrics: DepthMetrics) -> str:
    return f"{metrics.rmse_m:.3f} | {metrics.abs_rel:.4f} | {metrics.delta1:.3f}"
