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
from lightdepth_runtime.evaluation.protocol import Protocol
from lightdepth_runtime.images.preprocess import resize_depth

from ...compare.candidates import Candidate
from ...compare.compare import ComparedFrame, Comparison
from ...compare.panels import (
    Depth,
    DepthError,
    Note,
    Panel,
    Photo,
    Picture,
    Sigma,
    draw_panels,
    photo_title,
    signed_error,
)
from ..table import markdown_table
from .tables import ALIGNMENTS, accuracy_table, error_tables, interval_note, models_table, other_average_table

__all__ = ["compare_markdown", "compare_panel", "write_comparison"]

SHOWN = 5


def write_comparison(
    folder: Path,
    comparison: Comparison,
    frames: Sequence[ComparedFrame],
    candidates: Sequence[Candidate],
    command: Sequence[str] = (),
) -> list[Path]:
    """Write `panel_NN.png`, `compare.json` and `compare.md`; the tables come last, when all they name is there.

    Raises:
        LightDepthError: the folder can't be written.
    """
    make_folder(folder)
    pictures = [folder / f"panel_{number:02d}.png" for number in range(1, len(frames) + 1)]
    for path, frame in zip(pictures, frames, strict=True):
        draw_panels(compare_panel(frame, candidates, comparison.base), path)
    names = [path.name for path in pictures]
    write_json(folder / "compare.json", {**comparison.to_dict(), "panels": names})
    write_text(folder / "compare.md", compare_markdown(comparison, names, command))
    return [folder / "compare.md", folder / "compare.json", *pictures]


def compare_markdown(comparison: Comparison, pictures: Sequence[str] = (), command: Sequence[str] = ()) -> str:
    """Write the tables, one a protocol: figures of different protocols never share one."""
    parts = [
        "# Comparison",
        comparison.describe_pairs(),
        markdown_table(models_table(comparison)),
        *comparison.notes(),
    ]
    for protocol in comparison.protocols():
        other = other_average_table(comparison, protocol)
        parts += [
            f"## Alignment: {ALIGNMENTS[protocol.alignment]}",
            f"Protocol {protocol.describe()}.\nId `{protocol.id}`.",
            markdown_table(accuracy_table(comparison, protocol)),
            interval_note(comparison, protocol),
            f"{other.title}:",
            markdown_table(other),
        ]
    parts.append("Figures of different protocols are not comparable, so no model wins across two tables.")
    for model, protocol in comparison.first_scored():
        parts += [f"## Where {model.name} errs", f"Alignment: {ALIGNMENTS[protocol.alignment]}."]
        for table in error_tables(model.scores[protocol], SHOWN):
            parts += [f"{table.title}:", markdown_table(table)]
    if pictures:
        parts += ["## Pictures", "One scale in metres a row, taken from the ground truth."]
        parts += [f"![{name}]({name})" for name in pictures]
    if command:
        parts += ["Command:", f"    {shlex.join(command)}"]
    return "\n\n".join(parts) + "\n"


def compare_panel(frame: ComparedFrame, candidates: Sequence[Candidate], base: Protocol) -> list[Panel]:
    """Build two rows: input, truth and every model on one scale in metres; below, the models' errors.

    Where a model has sigma, a third row shows it.
    """
    top: list[Picture] = [Photo(photo_title(frame.name), frame.image), Depth("Ground truth", frame.truth_m)]
    below: list[Picture] = [Note(""), Note(f"{frame.scene}\n\nprediction - truth")]
    sure: list[Picture] = [Note(""), Note("sigma: what the model\ntakes its own error for")]
    for candidate in candidates:
        prediction = frame.predictions.get(candidate.name)
        if prediction is None:
            top.append(Note(f"{candidate.name}\n\nrandom weights:\nno depth to show"))
            below.append(Note(""))
            sure.append(Note(""))
            continue
        metres, how = _in_metres(prediction, frame.truth_m, candidate, base)
        top.append(Depth(f"{candidate.name}\n{how}", metres))
        below.append(DepthError(f"Error, {how}", signed_error(metres, frame.truth_m)))
        sigma = frame.sigmas.get(candidate.name)
        sure.append(Note("without sigma") if sigma is None else Sigma(f"Sigma, {candidate.name}", sigma))
    return [top, below, sure] if any(isinstance(picture, Sigma) for picture in sure) else [top, below]


def _in_metres(
    prediction: NDArray[np.float32], truth_m: NDArray[np.float32], candidate: Candidate, base: Protocol
) -> tuple[NDArray[np.floating], str]:
    """Bring a prediction to metres of the truth's size: raw where it is metric, else by its own alignment."""
    protocol = replace(base, alignment=candidate.alignments[0])
    resized = resize_depth(prediction, truth_m.shape[0], truth_m.shape[1])
    mask = protocol.valid(truth_m)
    fit = fit_alignment(resized[mask], truth_m[mask], protocol.alignment, candidate.kind)
    metres = np.clip(fit.apply(resized), protocol.min_depth_m, protocol.max_depth_m)
    return metres, "raw metres" if protocol.alignment == "none" else "scale and shift fitted"
