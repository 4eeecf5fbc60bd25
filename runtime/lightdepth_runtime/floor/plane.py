"""Find the floor in a depth map: the lowest large level surface, or a refusal."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics
from .mount import CameraMount

__all__ = ["Floor", "find_floor"]

MOST_COLUMNS = 80  # a floor is large: every eighth pixel of 640 finds it
TOLERANCE = 0.06  # of the camera's height: how far a floor's points may lie from its plane
STEEPEST_DEG = 25.0  # between a floor's surface and level, point by point: predicted floors are wavy
TILTS_DEG = 50.0  # of the camera, where nobody knows it
SMALLEST_SHARE = 0.06  # of the image's pixels
MOST_BELOW = 0.02  # of the image's pixels under the floor: more, and it is a table
HEIGHTS = 120  # candidates between the nearest and the farthest
TRIALS = 300  # of three points each, where the tilt isn't known
PENALTY = 3.0  # a point under the floor counts against it like three on it
LEAST_SPAN = 0.25  # of the image's width: a floor is no narrow strip


@dataclass(frozen=True, eq=False)
class Floor:
    """The floor as depth shows it: `height_m` is in the units of that depth, right or wrong."""

    height_m: float  # of the camera
    up: NDArray[np.float64]  # (3,) in the optical frame
    share: float  # of the image's pixels that lie on it

    @property
    def mount(self) -> CameraMount:
        """The camera's place over this floor."""
        return CameraMount.from_up(self.height_m, self.up)


def find_floor(
    depth_m: NDArray[np.float32], camera: Intrinsics, *, tilt_deg: float | None = None, roll_deg: float = 0.0
) -> Floor:
    """Find the floor.

    Its points lie in one plane, their surface faces up, and almost nothing lies under it. Where the tilt is known, the
    plane's height alone is sought; else planes through three points are tried, always the same ones.

    Args:
        depth_m: (H, W) along the optical axis; what is not positive and finite has no reading.
        camera: for images of this size.
        tilt_deg: the camera's, positive where it looks down. Default: unknown.
        roll_deg: the camera's, where the tilt is known.

    Raises:
        LightDepthError: no floor to be seen, or sizes that differ.
    """
    points, normals = _surface(depth_m, camera)  # (N, 3) each
    if tilt_deg is None:
        planes = _trial_planes(points, normals)
    else:
        planes = _level_planes(points, CameraMount(1.0, tilt_deg, roll_deg).up)
    floor = None if len(planes) == 0 else _best(planes, points, normals, refine=tilt_deg is None)
    if floor is None:
        raise LightDepthError(
            "No floor is seen: no large level surface with nothing under it. Turn the camera until the floor fills a "
            "tenth of the image, or give known points instead."
        )
    return floor


def _normals(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the unit normals, towards the camera, of a grid of points (rows, columns, 3); NaN where a neighbour is."""
    across, down = np.full(points.shape, np.nan), np.full(points.shape, np.nan)
    across[:, 1:-1] = points[:, 2:] - points[:, :-2]
    down[1:-1] = points[2:] - points[:-2]
    normals = np.cross(across, down)
    normals /= np.maximum(np.linalg.norm(normals, axis=2, keepdims=True), 1e-12)
    return normals * np.where(np.einsum("rck,rck->rc", normals, points) > 0, -1.0, 1.0)[:, :, None]


def _surface(depth_m: NDArray[np.float32], camera: Intrinsics) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return points of a coarse grid with a reading, and their unit normals towards the camera, (N, 3) each."""
    height, width = depth_m.shape
    camera.check_size(depth_m)
    stride = max(1, width // MOST_COLUMNS)
    rows, columns = np.arange(stride // 2, height, stride), np.arange(stride // 2, width, stride)
    z = depth_m[np.ix_(rows, columns)].astype(np.float64)
    z[~(np.isfinite(z) & (z > 0))] = np.nan
    x = (columns[None, :] - camera.cx) / camera.fx * z
    y = (rows[:, None] - camera.cy) / camera.fy * z
    points = np.stack([x, y, z], axis=2)  # (rows, columns, 3)
    normals = _normals(points)
    known = np.isfinite(normals).all(axis=2) & np.isfinite(points).all(axis=2)
    return points[known], normals[known]


def _level_planes(points: NDArray[np.float64], up: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return planes (P, 4) of one direction: up (3,) and the camera's height over each."""
    below = -points @ up
    below = below[below > 0]
    if len(below) == 0:
        return np.empty((0, 4))
    low, high = (max(float(value), 1e-3) for value in np.percentile(below, (5, 99.5)))
    heights = np.geomspace(low, high, HEIGHTS)
    return np.column_stack([np.tile(up, (HEIGHTS, 1)), heights])


def _trial_planes(points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return planes (P, 4) through three points each whose surface may be a floor's."""
    likely = points[normals[:, 1] < -math.cos(math.radians(TILTS_DEG + STEEPEST_DEG))]
    if len(likely) < 3:
        return np.empty((0, 4))
    rng = np.random.default_rng(0)
    first, second, third = likely[rng.integers(0, len(likely), (3, TRIALS))]  # (TRIALS, 3) each
    up = np.cross(second - first, third - first)
    length = np.linalg.norm(up, axis=1)
    up, first = up[length > 1e-6] / length[length > 1e-6, None], first[length > 1e-6]
    up[up[:, 1] > 0] *= -1
    heights = -np.einsum("pk,pk->p", up, first)
    fits = (-up[:, 1] > math.cos(math.radians(TILTS_DEG))) & (heights > 0)
    return np.column_stack([up, heights])[fits]


def _best(
    planes: NDArray[np.float64], points: NDArray[np.float64], normals: NDArray[np.float64], *, refine: bool
) -> Floor | None:
    """Return the plane with the most points on it and the fewest under it, if it is a floor."""
    ups, heights = planes[:, :3], planes[:, 3]
    on, under = _on_and_under(points, normals, ups.T, heights)
    best = int(np.argmax(on.sum(axis=0) - PENALTY * under.sum(axis=0)))
    up, height_m, on = ups[best], float(heights[best]), on[:, best]
    for _ in range(3):  # settle on the points that lie on it
        members = points[on]
        if len(members) < 3:
            return None
        if refine:
            centre = members.mean(axis=0)
            up = np.linalg.svd(members - centre, full_matrices=False)[2][2]
            up = -up if up[1] > 0 else up
            height_m = float(-centre @ up)
        else:
            height_m = float(np.median(-members @ up))
        if height_m <= 0:
            return None
        on, under = _on_and_under(points, normals, up, height_m)
    members, share = points[on], float(on.mean())
    if share < SMALLEST_SHARE or under.mean() > MOST_BELOW or -up[1] < math.cos(math.radians(TILTS_DEG + 10)):
        return None
    directions = members[:, 0] / members[:, 2]
    span = np.ptp(np.percentile(directions, (5, 95))) / max(float(np.ptp(points[:, 0] / points[:, 2])), 1e-9)
    return Floor(height_m, up, share) if span > LEAST_SPAN else None


def _on_and_under(
    points: NDArray[np.float64],
    normals: NDArray[np.float64],
    up: NDArray[np.float64],
    height_m: NDArray[np.float64] | float,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell which points (N,) lie on a plane (3,) and which under it, or on and under each of several (3, P): (N, P)."""
    above_m = points @ up + height_m
    faces = normals @ up > math.cos(math.radians(STEEPEST_DEG))
    return (np.abs(above_m) < TOLERANCE * height_m) & faces, above_m < -2 * TOLERANCE * height_m
