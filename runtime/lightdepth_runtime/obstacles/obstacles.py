"""The nearest obstacle of each direction, with the floor taken out, and how it is drawn into a picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..floor import CameraMount
from ..images.opencv import import_cv2
from ..spec import Intrinsics

__all__ = ["CLEARANCE_M", "FARTHEST_M", "NEAREST_M", "SECTORS", "Obstacles", "draw_obstacles", "find_obstacles"]

SECTORS = 16
MOST_COLUMNS = 160  # every fourth pixel of 640 sees what a robot can hit
NEAREST_M, FARTHEST_M = 0.1, 10.0
# A floor that is estimated 10 % too near appears a tenth of the camera's height higher, at any distance.
MARGIN_M, MARGIN_OF_HEIGHT = 0.05, 0.10
CLEARANCE_M = 1.5  # what hangs higher doesn't stop a robot of this height
FEWEST_PIXELS = 3  # of the coarse grid: single ones are torn edges
SMALLEST_SHARE = 0.01  # of a direction's pixels

STOP_M, SLOW_M = 1.0, 2.0
STOP, SLOW, FREE, EDGE = (230, 40, 40), (250, 170, 30), (70, 200, 90), (20, 20, 20)  # RGB
REFERENCE_SIDE = 480  # pixels of the shorter side that sizes are given for
RADIUS, FONT_SCALE, RISE = 6, 0.45, 9


@dataclass(frozen=True, eq=False)
class Obstacles:
    """The nearest obstacle of each direction, from right to left as a LaserScan counts.

    Angles are in the level frame (REP 103: x ahead, y left): 0 is ahead, positive is left. `ranges_m` are distances
    over the floor from the camera, float32 (N,): infinite where nothing stands, NaN where no pixel has a reading
    (REP 117).
    """

    edges_rad: NDArray[np.float64]  # (N + 1,), rising
    ranges_m: NDArray[np.float32]
    pixels: NDArray[np.intp]  # (N, 2): column and row of each obstacle; -1 where there is none

    @property
    def angles_rad(self) -> NDArray[np.float64]:
        """The middle of each direction, (N,)."""
        return (self.edges_rad[:-1] + self.edges_rad[1:]) / 2

    @property
    def nearest_m(self) -> float:
        """The nearest of all; infinite where nothing stands, NaN where no direction has a reading."""
        known = self.ranges_m[~np.isnan(self.ranges_m)]
        return float(known.min()) if len(known) else math.nan


def find_obstacles(
    depth_m: NDArray[np.float32],
    camera: Intrinsics,
    mount: CameraMount,
    *,
    sectors: int = SECTORS,
    floor_margin_m: float | None = None,
    clearance_m: float = CLEARANCE_M,
) -> Obstacles:
    """Find the nearest obstacle of each direction.

    Args:
        depth_m: (H, W) along the optical axis, in metres that are right for this camera: the floor is where the mount
            says. What is not positive and finite has no reading.
        camera: for images of this size.
        mount: the camera's height, tilt and roll.
        sectors: equal angles over the field of view. Default: 16.
        floor_margin_m: what is lower is floor. Default: 0.05 m and a tenth of the camera's height.
        clearance_m: what is higher is passed under. Default: 1.5 m.

    Raises:
        LightDepthError: depth in whole numbers, sizes that differ, no sectors, or a clearance that is not above the
            margin.
    """
    height, width = depth_m.shape
    if depth_m.dtype.kind != "f":  # millimetres would say that nothing stands anywhere
        raise LightDepthError(
            f"Obstacles need depth in metres as floats, got {depth_m.dtype}; divide millimetres by 1000."
        )
    camera.check_size(depth_m)
    if sectors < 1:
        raise LightDepthError(f"Obstacles need at least one sector, got {sectors}.")
    margin_m = MARGIN_M + MARGIN_OF_HEIGHT * mount.height_m if floor_margin_m is None else floor_margin_m
    if not 0 <= margin_m < clearance_m:
        own = f" (for a camera at {mount.height_m:g} m)" if floor_margin_m is None else ""
        raise LightDepthError(
            f"Obstacles lie between the floor's margin and the clearance; got {margin_m:g}{own} and {clearance_m:g} m."
        )
    stride = max(1, width // MOST_COLUMNS)
    rows, columns = np.arange(stride // 2, height, stride), np.arange(stride // 2, width, stride)
    z = depth_m[np.ix_(rows, columns)]  # (rows, columns)
    edges = _edges(camera, mount, sectors)
    across, down = np.meshgrid((columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy)
    rays = np.stack([across.ravel(), down.ravel(), np.ones(z.size)])  # (3, rows * columns)
    ahead, left, up = (mount.rotation @ rays).astype(np.float32)
    depth = z.reshape(-1)
    seen = np.isfinite(depth) & (depth > 0)
    sector = np.searchsorted(edges, np.arctan2(left, ahead), side="right") - 1
    seen &= (sector >= 0) & (sector < sectors)
    range_m, over_floor_m = np.hypot(ahead, left) * depth, up * depth + np.float32(mount.height_m)
    stands = seen & (over_floor_m > margin_m) & (over_floor_m < clearance_m)
    stands &= (range_m >= NEAREST_M) & (range_m <= FARTHEST_M)
    pixels_seen = np.bincount(sector[seen], minlength=sectors)
    ranges = np.where(pixels_seen > 0, np.inf, np.nan).astype(np.float32)
    pixels = np.full((sectors, 2), -1, np.intp)
    index = np.flatnonzero(stands)
    order = index[np.argsort(2 * FARTHEST_M * sector[index] + range_m[index])]  # by sector, the nearest first
    starts = np.searchsorted(sector[order], np.arange(sectors + 1))
    for number in range(sectors):
        place = max(FEWEST_PIXELS, math.ceil(SMALLEST_SHARE * pixels_seen[number])) - 1
        if starts[number] + place < starts[number + 1]:
            found = order[starts[number] + place]
            ranges[number] = range_m[found]
            pixels[number] = columns[found % len(columns)], rows[found // len(columns)]
    return Obstacles(edges, ranges, pixels)


def _edges(camera: Intrinsics, mount: CameraMount, sectors: int) -> NDArray[np.float64]:
    """Return the sectors' edges over the field of view along the horizontal through the optical axis, right to left."""
    low = np.array([(-0.5 - camera.cx) / camera.fx, (-0.5 - camera.cy) / camera.fy])
    high = low + np.array([camera.width / camera.fx, camera.height / camera.fy])
    centre = np.clip(0.0, low, high)  # the optical axis, or the border next to it in an image that was cut
    up = mount.up
    level = np.array([-up[1], up[0]])  # the horizontal's direction in the image, to the right
    lean = level != 0
    ends = np.sort([((side - centre)[lean] / level[lean]) for side in (low, high)], axis=0)  # (2, 1 or 2)
    reaches = (ends[1].min(), ends[0].max())  # of the right border, then of the left one
    sides = [mount.rotation @ [*(centre + reach * level), 1.0] for reach in reaches]
    right_rad, left_rad = (math.atan2(left, ahead) for ahead, left, _ in sides)
    return np.linspace(right_rad, left_rad, sectors + 1)


def draw_obstacles(picture: NDArray[np.uint8], obstacles: Obstacles) -> NDArray[np.uint8]:
    """Return a copy of a picture with the nearest obstacle of each direction: red under 1 m, orange under 2 m.

    A range is not written where a nearer one stands.

    Args:
        picture: RGB (H, W, 3) of the size that the obstacles were found in.
        obstacles: of its depth.
    """
    cv2 = import_cv2()
    drawn = np.ascontiguousarray(picture).copy()
    unit = max(min(picture.shape[:2]) / REFERENCE_SIDE, 0.5)
    line = max(1, round(unit))
    nearest_first = sorted(
        (float(range_m), int(column), int(row))
        for range_m, (column, row) in zip(obstacles.ranges_m, obstacles.pixels, strict=True)
        if math.isfinite(range_m)
    )
    for range_m, column, row in reversed(nearest_first):
        cv2.circle(drawn, (column, row), round(RADIUS * unit), _color(range_m), -1, cv2.LINE_AA)
        cv2.circle(drawn, (column, row), round(RADIUS * unit), EDGE, line, cv2.LINE_AA)
    taken = np.zeros(drawn.shape[:2], bool)
    for range_m, column, row in nearest_first:
        text, font, scale = f"{range_m:.1f}", cv2.FONT_HERSHEY_SIMPLEX, FONT_SCALE * unit
        left, bottom = max(0, column - round(10 * unit)), max(12, row - round(RISE * unit))
        (width, height), _ = cv2.getTextSize(text, font, scale, 3 * line)
        box = taken[max(0, bottom - height) : bottom, left : left + width]
        if box.any():
            continue
        box[:] = True
        for ink, thickness in ((EDGE, 3 * line), (_color(range_m), line)):
            cv2.putText(drawn, text, (left, bottom), font, scale, ink, thickness, cv2.LINE_AA)
    return drawn


def _color(range_m: float) -> tuple[int, int, int]:
    return STOP if range_m < STOP_M else SLOW if range_m < SLOW_M else FREE
