"""The `calibrate` command: known distances in, a copy of the model with its scale corrected out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from ..backends import Backend, open_backend
from ..calibration.fit import CalibrationReport, DepthGroup, KnownDistance, calibrate, groups_of_pairs, groups_of_points
from ..calibration.rewrite import copy_with_spec
from ..errors import LightDepthError
from ..estimator import SHIPPED_MODEL
from ..pairs import Pair, PairSet, load_pairs
from ..progress import track

__all__ = ["calibrate_command"]


def _known_distance(text: str) -> KnownDistance:
    try:
        image, x, y, depth_m = text.rsplit(",", 3)  # a path may hold commas
        return KnownDistance(Path(image), int(x), int(y), float(depth_m))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not IMAGE,x,y,metres, like shelf.jpg,320,240,2.15.") from error


Points = Annotated[
    list[Any] | None,  # Any: Typer takes no KnownDistance; the parser gives one
    typer.Option(
        "--at",
        parser=_known_distance,
        metavar="IMAGE,x,y,METRES",
        help="A pixel and its distance along the camera's axis; repeatable.",
    ),
]


def calibrate_command(
    model: Annotated[Path | None, typer.Argument(help="A model file; the shipped model by default.")] = None,
    at: Points = None,
    data: Annotated[Path | None, typer.Option(metavar="DIR|LIST", help="RGB-D pairs to calibrate on.")] = None,
    split: Annotated[str, typer.Option(help="Which split of a folder.")] = "train",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="NAME-calibrated beside MODEL.")] = None,
    focal_px: Annotated[float | None, typer.Option(help="The camera's; for models called with focal_px.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the model even if it got worse.")] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, openvino or tensorrt.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads; the backend's choice by default.")] = None,
) -> None:
    """Correct a model's scale by known distances, without training; part of them is kept aside to judge by."""
    if not at and data is None:
        raise typer.BadParameter("nothing to calibrate on; give --at IMAGE,x,y,METRES (repeatable) or --data.")
    source = model or SHIPPED_MODEL
    target = output or _default_target(source, beside=model is not None)
    pairs = load_pairs(data, split) if data else None
    backend = open_backend(source, device, threads)
    try:
        report = _fit(backend, at or [], pairs, focal_px)
        spec = backend.spec.with_changes(calibration=report.calibration, scores={})  # the scores were another model's
    finally:
        backend.close()
    print(f"{report.calibration.describe()}: {report.describe()}")
    if report.made_worse and not force:
        raise LightDepthError(
            "The calibration made distances kept aside worse, so nothing was written; check the distances, give more "
            "of them, or write it all the same with --force."
        )
    copy_with_spec(source, target, spec)
    print(f"Wrote {target}")


def _fit(
    backend: Backend, points: Sequence[KnownDistance], pairs: PairSet | None, focal_px: float | None
) -> CalibrationReport:
    previous = backend.spec.calibration
    groups: list[DepthGroup] = groups_of_points(backend, points, focal_px)
    sources = [f"{len(points)} known distances"] if points else []
    if pairs is not None:

        def progress(items: Sequence[Pair]) -> Iterable[Pair]:
            return track(items, "Predicting", len(items))

        groups += groups_of_pairs(backend, pairs, focal_px, progress=progress)
        sources.append(f"{pairs.name} ({pairs.packaging}, {len(pairs)} pairs)")
    return calibrate(groups, previous, " and ".join(sources))


def _default_target(source: Path, *, beside: bool) -> Path:
    name = f"{source.stem}-calibrated{source.suffix}"
    return source.with_name(name) if beside else Path(name)  # the shipped model stands inside the installed package
