"""The `calibrate` command: known distances in, a copy of the model with its scale corrected out."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from ..errors import LightDepthError
from .options import At, CalibrationData, DepthScale, Device, FocalPx, Force, Live, Model, OutputFile, Split, Threads

if TYPE_CHECKING:
    from ..backends import Backend
    from ..calibration.fit import CalibrationReport, DepthGroup, KnownDistance
    from ..pairs import PairSet
    from ..spec import Intrinsics

__all__ = ["calibrate_command"]

SAME_FOCAL = 0.02  # in parts of the frame; the scale's own error is larger
NEAR_MISTAKE = 1.3  # the shipped model is off by as much in rooms of other cameras


def calibrate_command(
    model: Model = None,
    at: At = None,
    data: CalibrationData = None,
    live: Live = None,
    split: Split = "train",
    depth_scale: DepthScale = None,
    focal_px: FocalPx = None,
    device: Device = "auto",
    threads: Threads = None,
    output: OutputFile = None,
    force: Force = False,
) -> None:
    """Correct a model's scale by known distances, without training.

    Part of the distances is kept aside to judge the result by.
    """
    from ..backends import open_backend
    from ..calibration.rewrite import copy_with_spec
    from ..evaluation.unit_suspects import nearest_mistake, warn_of_unit
    from ..models.find import SHIPPED_MODEL, find_model
    from ..pairs import load_pairs

    if not at and data is None and live is None:
        raise typer.BadParameter("nothing to calibrate on; give --at IMAGE,x,y,METRES (repeatable), --data or --live.")
    source = find_model(model)
    target = output or _default_target(source, beside=source != SHIPPED_MODEL)
    pairs = load_pairs(data, split, unit=depth_scale) if data else None
    backend = open_backend(source, device, threads)
    try:
        if pairs is not None:
            warn_of_unit(pairs, max_depth_m=backend.spec.max_depth_m)
        report = _fit(backend, at or [], pairs, focal_px, live)
        spec = backend.spec.with_changes(calibration=report.calibration, scores={})  # the scores were another model's
    finally:
        backend.close()
    mistake = nearest_mistake(report.factor, within=NEAR_MISTAKE)
    if mistake is not None and not force:
        of = "--depth-scale, or the distances of --at, which are metres" if at else "--depth-scale"
        raise LightDepthError(
            f"Depth would change by a factor of {report.factor:.3g}, which is near {mistake:g}, a usual mistake of "
            f"units, so nothing was written. Check {of} (see `lightdepth data check`), or write it all the same with "
            "--force."
        )
    print(f"{report.calibration.describe()}: {report.describe()}")
    if pairs is not None and focal_px is None:
        _say_unused_camera(spec.intrinsics, pairs.intrinsics)
    if report.made_worse and not force:
        raise LightDepthError(
            "The calibration made distances kept aside worse, so nothing was written; check the distances, give more "
            "of them, or write it all the same with --force."
        )
    copy_with_spec(source, target, spec)
    print(f"Wrote {target}")


def _say_unused_camera(ours: Intrinsics | None, theirs: Intrinsics | None) -> None:
    """Say where the scale fitted to pairs holds the difference of the model's focal length and theirs."""
    if (
        ours is None
        or theirs is None
        or abs(ours.depth_factor(theirs.fx, theirs.height, theirs.width) - 1) < SAME_FOCAL
    ):
        return
    print(
        f"The pairs' focal length, {theirs.fx:g} px of {theirs.width}, isn't part of the fit: this scale is for images "
        f"given without one. If inference is told it, by --focal-px or a recording, fit with --focal-px {theirs.fx:g}."
    )


def _fit(
    backend: Backend, points: Sequence[KnownDistance], pairs: PairSet | None, focal_px: float | None, live: str | None
) -> CalibrationReport:
    from ..calibration.fit import calibrate, groups_of_pairs, groups_of_points
    from ..progress import track

    previous = backend.spec.calibration
    groups: list[DepthGroup] = groups_of_points(backend, points, focal_px)
    sources = [f"{len(points)} known distances"] if points else []
    if pairs is not None:
        groups += groups_of_pairs(backend, pairs, focal_px, progress=partial(track, label="Predicting"), say=print)
        sources.append(f"{pairs.name} ({pairs.packaging}, {len(pairs)} pairs)")
    if live is not None:
        measured = _measure(backend, live, focal_px)
        groups += measured
        sources += [f"{len(measured)} live measurements"] if measured else []
    return calibrate(groups, previous, " and ".join(sources))


def _measure(backend: Backend, source: str, focal_px: float | None) -> list[DepthGroup]:
    """Take distances from the terminal while a camera looks at things."""
    from ..calibration.live import measure_live
    from ..estimator import DepthEstimator
    from ..infer.streams import is_stream, open_stream, plan_streams

    if not is_stream(source):
        raise LightDepthError(f"--live takes a camera (camera:0) or a stream (rtsp://...), got {source!r}.")
    backend.spec = backend.spec.with_changes(calibration=None)
    [job] = plan_streams([source])
    with open_stream(job) as stream:
        return measure_live(DepthEstimator(backend), iter(stream), input, focal_px=focal_px, say=print)


def _default_target(source: Path, *, beside: bool) -> Path:
    name = f"{source.stem}-calibrated{source.suffix}"
    return source.with_name(name) if beside else Path(name)  # the shipped model stands inside the installed package
