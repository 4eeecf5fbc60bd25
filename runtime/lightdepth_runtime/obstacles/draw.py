"""Draw obstacles into pictures: a mark and a distance for each direction."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..images.opencv import import_cv2
from .nearest import Obstacles

__all__ = ["draw_obstacles"]

STOP_M, SLOW_M = 1.0, 2.0
STOP, SLOW, FREE, EDGE = (230, 40, 40), (250, 170, 30), (70, 200, 90), (20, 20, 20)  # RGB
REFERENCE_SIDE = 480  # pixels of the shorter side that sizes are given for
RADIUS, FONT_SCALE, RISE = 6, 0.45, 9


def draw_obstacles(picture: NDArray[np.uint8], obstacles: Obstacles) -> NDArray[np.uint8]:
    """Return a copy of a picture with the nearest obstacle of each direction: red under 1 m, orange under 2 m.

    Args:
        picture: RGB (H, W, 3) of the size that the obstacles were found in.
        obstacles: of its depth.
    """
    cv2 = import_cv2()
    drawn = np.ascontiguousarray(picture).copy()
    unit = max(min(picture.shape[:2]) / REFERENCE_SIDE, 0.5)
    line = max(1, round(unit))
    for range_m, (column, row) in zip(obstacles.ranges_m, obstacles.pixels, strict=True):
        if not math.isfinite(range_m):
            continue
        color = STOP if range_m < STOP_M else SLOW if range_m < SLOW_M else FREE
        place = int(column), int(row)
        cv2.circle(drawn, place, round(RADIUS * unit), color, -1, cv2.LINE_AA)
        cv2.circle(drawn, place, round(RADIUS * unit), EDGE, line, cv2.LINE_AA)
        text, corner = f"{range_m:.1f}", (place[0] - round(10 * unit), max(12, place[1] - round(RISE * unit)))
        for ink, width in ((EDGE, 3 * line), (color, line)):
            cv2.putText(drawn, text, corner, cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * unit, ink, width, cv2.LINE_AA)
    return drawn
