"""Depth and sigma as colour pictures with a scale beside them.

Near is the bright (turbo: the red) end of every map, and so is sure.
"""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.opencv import import_cv2

__all__ = [
    "COLORMAPS",
    "NO_DEPTH_RGB",
    "Colormap",
    "DepthRange",
    "colorize",
    "depth_range",
    "draw_sigma",
    "with_scale",
]

Colormap = Literal["plasma", "viridis", "magma", "inferno", "turbo", "gray"]
COLORMAPS: tuple[Colormap, ...] = get_args(Colormap)

NO_DEPTH_RGB = (58, 66, 82)  # a slate that no map contains, for pixels without a reading
RANGE_PERCENTILES = (1, 99)  # single far pixels would flatten the colours of all others
SMALLEST_RANGE_M = 0.1
MOST_SAMPLES = 400_000
STEPS_OF_TEN = (1, 2, 5, 10)  # a tick's distance is one of these times a power of ten
MOST_TICKS = 8
# Range ends stand on parts of a tick step, so that neighbouring frames of a sequence mostly share one scale.
PARTS_OF_STEP = 5

# The scale's sizes in pixels beside a picture whose shorter side is 480; they grow with it.
REFERENCE_SIDE = 480
SMALLEST_UNIT = 0.75  # below, letters can't be read
PANEL_WIDTH, BAR_LEFT, BAR_WIDTH, BAR_MARGIN, TICK_LENGTH, TEXT_LEFT = 112, 12, 22, 34, 5, 43
CAPTION_GAP, TEXT_RISE = 9, 5
FONT_SCALE, LETTER_HEIGHT = 0.46, 10
LOWEST = 160  # height that a scale needs
BACKGROUND, INK = (255, 255, 255), (30, 30, 30)


@dataclass(frozen=True)
class DepthRange:
    """The depths in metres that get a map's two end colours; what lies beyond gets them too."""

    near_m: float
    far_m: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.far_m) and 0 <= self.near_m < self.far_m):
            raise LightDepthError(
                f"A depth range needs 0 <= near < far in metres, got {self.near_m:g} and {self.far_m:g}."
            )


def depth_range(depth_m: NDArray[np.float32], limits: DepthRange | None = None) -> DepthRange:
    """Choose the range of one picture: its 1st to 99th percentile, widened to round numbers.

    Pixels that are not positive and finite don't count.

    Args:
        depth_m: float32 (H, W).
        limits: the model's range, which the result stays in.
    """
    stride = max(1, round(math.sqrt(depth_m.size / MOST_SAMPLES)))  # a percentile needs no twelve million pixels
    sample = depth_m[::stride, ::stride]
    known = sample[np.isfinite(sample) & (sample > 0)]
    if known.size == 0:
        return limits or DepthRange(0.0, 1.0)
    near_m, far_m = (float(value) for value in np.percentile(known, RANGE_PERCENTILES))
    far_m = max(far_m, near_m + SMALLEST_RANGE_M)
    part = _tick_step(far_m - near_m) / PARTS_OF_STEP
    near_m, far_m = math.floor(near_m / part) * part, math.ceil(far_m / part) * part
    if limits and max(near_m, limits.near_m) < min(far_m, limits.far_m):
        near_m, far_m = max(near_m, limits.near_m), min(far_m, limits.far_m)
    return DepthRange(near_m, far_m)


def colorize(
    depth_m: NDArray[np.float32], colormap: Colormap = "plasma", scale: DepthRange | None = None
) -> NDArray[np.uint8]:
    """Colour depth (H, W) in metres as uint8 RGB (H, W, 3).

    Near is bright, far is dark (turbo: near red, far blue). Pixels that are not positive and finite become
    `NO_DEPTH_RGB`.

    Args:
        depth_m: float32 (H, W).
        colormap: one of `COLORMAPS`.
        scale: the depths of the end colours; `depth_range` of the picture by default.

    Raises:
        LightDepthError: an unknown colour map.
    """
    cv2 = import_cv2()
    scale = scale or depth_range(depth_m)
    gain = 255 / (scale.far_m - scale.near_m)
    known = np.isfinite(depth_m) & (depth_m > 0)
    clipped = np.clip(np.where(known, depth_m, scale.far_m), scale.near_m, scale.far_m)
    nearness = np.rint((scale.far_m - clipped) * gain).astype(np.uint8)  # (H, W), 255 is near
    picture = cv2.LUT(cv2.merge([nearness] * 3), _table(colormap))  # (H, W, 3) uint8, each plane its own table
    if not known.all():
        picture[~known] = NO_DEPTH_RGB
    return picture


def draw_sigma(sigma: NDArray[np.float32], colormap: Colormap = "plasma") -> NDArray[np.uint8]:
    """Draw sigma (H, W) with a scale in per cent beside it, as `with_scale` does: sure is bright, unsure is dark.

    The scale begins at 0, so that a model that is equally sure everywhere gives an even picture.
    """
    per_cent = sigma * np.float32(100)
    scale = DepthRange(0.0, depth_range(per_cent).far_m)
    return with_scale(colorize(per_cent, colormap, scale), colormap, scale, unit="%", ends=("unsure", "sure"))


def with_scale(
    picture: NDArray[np.uint8],
    colormap: Colormap,
    scale: DepthRange,
    *,
    unit: str = "m",
    ends: tuple[str, str] = ("far", "near"),
) -> NDArray[np.uint8]:
    """Append a scale in metres at the right of a coloured picture: (H, W, 3) -> (max(H, 120), W + w, 3).

    The bar's far end is up and its near end down, as on a floor, and both are named. `w` follows from the picture's
    size alone. A picture too low for a scale is padded below; no pixel of it is covered. `unit` and `ends` name
    another quantity than depth.
    """
    cv2 = import_cv2()
    size = max(min(picture.shape[:2]) / REFERENCE_SIDE, SMALLEST_UNIT)
    height = max(picture.shape[0], round(LOWEST * size))
    panel = np.full((height, round(PANEL_WIDTH * size), 3), BACKGROUND, np.uint8)
    left, right = round(BAR_LEFT * size), round((BAR_LEFT + BAR_WIDTH) * size)
    top, bottom = round(BAR_MARGIN * size), height - round(BAR_MARGIN * size)
    ramp = np.linspace(0, 255, bottom - top).astype(np.uint8)
    panel[top:bottom, left:right] = _table(colormap)[0, ramp][:, None]  # (h, 3) -> (h, 1, 3)
    line = max(1, round(size))
    cv2.rectangle(panel, (left, top), (right - 1, bottom - 1), INK, line)

    def write(text: str, x: int, baseline: int) -> None:
        cv2.putText(panel, text, (x, baseline), cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * size, INK, line, cv2.LINE_AA)

    write(ends[0], left, top - round(CAPTION_GAP * size))
    write(ends[1], left, bottom + round((CAPTION_GAP + LETTER_HEIGHT) * size))
    most = max(2, min(MOST_TICKS, int((bottom - top) / (3 * LETTER_HEIGHT * size))))
    for depth_m, label in _ticks(scale, most, unit):
        row = round(top + (scale.far_m - depth_m) / (scale.far_m - scale.near_m) * (bottom - 1 - top))
        cv2.line(panel, (right, row), (right + round(TICK_LENGTH * size), row), INK, line)
        write(label, round(TEXT_LEFT * size), row + round(TEXT_RISE * size))
    padding = np.full((height - picture.shape[0], picture.shape[1], 3), BACKGROUND, np.uint8)
    return np.hstack([np.vstack([picture, padding]), panel])


def _ticks(scale: DepthRange, most: int, unit: str = "m") -> list[tuple[float, str]]:
    """Return round depths inside the range, with labels of just enough digits: `most` or fewer, but at least two."""
    first = last = 0
    step = 1.0
    while last <= first:
        step = _tick_step(scale.far_m - scale.near_m, most)
        first, last = math.ceil(scale.near_m / step - 1e-6), math.floor(scale.far_m / step + 1e-6)
        most += 1
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return [(number * step, f"{number * step:.{digits}f} {unit}") for number in range(first, last + 1)]


def _tick_step(span_m: float, most: int = MOST_TICKS) -> float:
    """Return the smallest round step that gives at most `most` ticks over a span."""
    smallest = span_m / max(1, most - 1)
    power = 10.0 ** math.floor(math.log10(smallest))
    return next(factor * power for factor in STEPS_OF_TEN if factor * power >= smallest * (1 - 1e-9))


def _table(colormap: Colormap) -> NDArray[np.uint8]:
    """Return the colours of 0 (far) to 255 (near): (1, 256, 3) uint8 RGB."""
    cv2 = import_cv2()
    if colormap not in COLORMAPS:
        raise LightDepthError(f"Unknown colormap {colormap!r}; choose one of {', '.join(COLORMAPS)}.")
    values = np.arange(256, dtype=np.uint8)[None]
    if colormap == "gray":
        return np.repeat(values[:, :, None], 3, axis=2)
    return cv2.cvtColor(cv2.applyColorMap(values, getattr(cv2, f"COLORMAP_{colormap.upper()}")), cv2.COLOR_BGR2RGB)
