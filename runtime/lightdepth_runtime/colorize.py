"""Depth as a colour picture with a scale in metres beside it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError
from .images import import_cv2

__all__ = ["COLORMAPS", "Colormap", "colorize", "depth_range", "with_scale"]

Colormap = Literal["plasma", "viridis", "magma", "inferno", "turbo", "gray"]
COLORMAPS: tuple[Colormap, ...] = ("plasma", "viridis", "magma", "inferno", "turbo", "gray")

RANGE_PERCENTILES = (1, 99)  # single far pixels would flatten the colours of all others
SMALLEST_RANGE_M = 0.05
TICKS = 6
REFERENCE_HEIGHT = 480  # sizes below are in pixels of a 640x480 picture and grow with it
SCALE_WIDTH, BAR_LEFT, BAR_WIDTH, BAR_MARGIN, TEXT_LEFT = 92, 12, 20, 30, 38
FONT_SCALE, FONT_WIDTH = 0.45, 1
BACKGROUND, INK = (255, 255, 255), (30, 30, 30)


def depth_range(depth_m: NDArray[np.float32]) -> tuple[float, float]:
    """Return the nearest and farthest depth to colour: the 1st and 99th percentile, at least 5 cm apart."""
    near_m, far_m = (float(value) for value in np.percentile(depth_m, RANGE_PERCENTILES))
    return near_m, max(far_m, near_m + SMALLEST_RANGE_M)


def colorize(depth_m: NDArray[np.float32], colormap: Colormap, near_m: float, far_m: float) -> NDArray[np.uint8]:
    """Colour depth (H, W) as uint8 RGB (H, W, 3): near is the bright end of the map, beyond the range its ends."""
    nearness = np.clip((far_m - depth_m) / (far_m - near_m), 0, 1)  # 1 near, 0 far
    return _apply((nearness * 255).astype(np.uint8), colormap)


def with_scale(picture: NDArray[np.uint8], colormap: Colormap, near_m: float, far_m: float) -> NDArray[np.uint8]:
    """Append a scale in metres at the right of a coloured picture: (H, W, 3) -> (H, W + w, 3)."""
    cv2 = import_cv2()
    height = picture.shape[0]
    unit = max(height / REFERENCE_HEIGHT, 0.5)
    panel = np.full((height, round(SCALE_WIDTH * unit), 3), BACKGROUND, np.uint8)
    top, bottom = round(BAR_MARGIN * unit), height - round(BAR_MARGIN * unit)
    if bottom - top < 2:  # too small for a scale
        return picture
    ramp = np.linspace(0, 255, bottom - top).astype(np.uint8)  # far above, near below, as on a floor
    left = round(BAR_LEFT * unit)
    panel[top:bottom, left : left + round(BAR_WIDTH * unit)] = _apply(ramp[:, None], colormap)
    thickness = max(FONT_WIDTH, round(FONT_WIDTH * unit))
    for share in np.linspace(0, 1, TICKS):
        row = round(top + share * (bottom - 1 - top))
        text = f"{far_m + share * (near_m - far_m):.2f} m"
        baseline = (round(TEXT_LEFT * unit), row + round(5 * unit))
        cv2.putText(panel, text, baseline, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * unit, INK, thickness, cv2.LINE_AA)
    for text, row in (("far", top - round(12 * unit)), ("near", bottom + round(20 * unit))):
        cv2.putText(panel, text, (left, row), cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * unit, INK, thickness, cv2.LINE_AA)
    return np.hstack([picture, panel])


def _apply(values: NDArray[np.uint8], colormap: Colormap) -> NDArray[np.uint8]:
    """Look colours up: (h, w) uint8 -> (h, w, 3) uint8 RGB."""
    cv2 = import_cv2()
    if colormap == "gray":
        return np.repeat(values[:, :, None], 3, axis=2)
    if colormap not in COLORMAPS:
        raise LightDepthError(f"Unknown colormap {colormap!r}; choose one of {', '.join(COLORMAPS)}.")
    table = getattr(cv2, f"COLORMAP_{colormap.upper()}")
    return cv2.cvtColor(cv2.applyColorMap(np.ascontiguousarray(values), table), cv2.COLOR_BGR2RGB)
