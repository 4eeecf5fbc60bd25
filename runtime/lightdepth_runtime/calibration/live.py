"""Calibrate with a camera and a tape measure: aim, type the distance, see how far off the model is and when to stop."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError, without_way_out
from ..estimator import DepthEstimator
from ..frames.frame import Frame
from .fit import DepthGroup

__all__ = ["measure_live"]

FRAMES = 3  # a measurement: their median, so that one frame's noise doesn't count
WINDOW = 0.02  # of each side, around the middle
ENOUGH = 6  # measurements, of which two can be kept aside to judge by
ENOUGH_SPREAD = 2.0  # farthest over nearest
ENOUGH_STD = 0.03  # of the scale's logarithm

MOST_OFF = 8.0  # times the estimate, either way: no camera is so far off, centimetres are

PROMPT = "Aim the middle of the picture at something flat. Its distance in metres, undo, or Enter to finish: "


def measure_live(
    estimator: DepthEstimator,
    frames: Iterator[Frame],
    ask: Callable[[str], str],
    *,
    focal_px: float | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> list[DepthGroup]:
    """Ask for distances until an empty answer; return one group a measurement. `undo` takes the last one back.

    A camera that ends or fails after a measurement ends it too.

    Args:
        estimator: the model without its calibration.
        frames: a camera's, the newest each time.
        ask: shows a prompt and returns a line; EOFError counts as an empty one.
        focal_px: the camera's, for models called with it.
        say: shows a line.

    Raises:
        LightDepthError: the camera ended or failed before the first measurement, or the estimator did.
    """
    groups: list[DepthGroup] = []
    while True:
        try:
            text = ask(PROMPT).strip()
        except EOFError:
            text = ""
        if not text:
            return groups
        if text.lower() == "undo":
            if groups:
                groups.pop()
            say(f"{len(groups)} left.")
            continue
        try:
            distance_m = float(text.removesuffix("m").replace(",", "."))
        except ValueError:
            distance_m = math.nan
        if not (math.isfinite(distance_m) and distance_m > 0):
            say(f"{text!r} is no distance; type metres, like 1.85.")
            continue
        try:
            estimated_m, factor = _middle_m(estimator, frames, focal_px)
        except LightDepthError as error:
            if not groups:
                raise
            say(f"{without_way_out(error)}; what was measured before counts.")
            return groups
        if not 1 / MOST_OFF < distance_m / (estimated_m * factor) < MOST_OFF:
            say(f"{distance_m:g} m can't be meant where {estimated_m * factor:.2f} m are estimated; type metres.")
            continue
        name = f"measurement {len(groups) + 1}"
        # The focal length's factor comes after the calibration, so the truth that the fit sees is without it.
        groups.append(DepthGroup(name, np.array([estimated_m]), np.array([distance_m / factor])))
        say(_report(groups, estimated_m * factor, distance_m))


def _middle_m(estimator: DepthEstimator, frames: Iterator[Frame], focal_px: float | None) -> tuple[float, float]:
    """Return the median depth of the picture's middle over a few frames, and the focal length's factor."""
    values: list[NDArray[np.float32]] = []
    factor = 1.0
    for _ in range(FRAMES):
        frame = next(frames, None)
        if frame is None:
            raise LightDepthError("The camera gives no more images; start again with a camera that goes on.")
        depth_m = estimator(frame.image)
        height, width = depth_m.shape
        factor = 1.0 if focal_px is None else estimator.depth_factor(focal_px, height, width)
        half_y, half_x = max(1, round(height * WINDOW / 2)), max(1, round(width * WINDOW / 2))
        middle_y, middle_x = height // 2, width // 2
        values.append(depth_m[middle_y - half_y : middle_y + half_y, middle_x - half_x : middle_x + half_x].ravel())
    return float(np.median(np.concatenate(values))), factor


def _report(groups: list[DepthGroup], estimated_m: float, distance_m: float) -> str:
    """Say how far off the last measurement is from what all agree on, and whether they are enough."""
    ratios = np.log([float(group.truth_m[0] / group.predicted_m[0]) for group in groups])
    common = float(np.median(ratios))
    rest = float(np.expm1(ratios[-1] - common))
    text = f"{len(groups)}: estimated {estimated_m:.2f} m, measured {distance_m:.2f} m"
    text = f"{text}; scale so far {math.exp(common):.3f}"
    if len(groups) < 3:
        return f"{text}. Go on: near and far things, at different places."
    std = 1.4826 * float(np.median(np.abs(ratios - common))) / math.sqrt(len(groups))  # of normal errors
    distances = [float(group.truth_m[0]) for group in groups]
    text = f"{text} +- {std:.1%}, this one {rest:+.0%} from it"
    if len(groups) < ENOUGH:
        return f"{text}. {ENOUGH - len(groups)} more at least."
    if max(distances) < ENOUGH_SPREAD * min(distances):
        return f"{text}. Measure something nearer or farther too."
    if std > ENOUGH_STD:
        return f"{text}. Go on until the scale is known to {ENOUGH_STD:.0%}."
    return f"{text}. That is enough: Enter finishes."
