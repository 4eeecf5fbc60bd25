"""Depth of a made-up room: a floor, a wall ahead, and boxes, seen by a camera that stands over the floor."""

import numpy as np

from lightdepth_runtime import Intrinsics
from lightdepth_runtime.floor import CameraMount

CAMERA = Intrinsics(130.0, 130.0, 79.5, 59.5, 160, 120)
Box = tuple[float, float, float, float]  # metres ahead of its face, left edge, right edge (y left), height


def room_m(mount: CameraMount, wall_m: float = 6.0, boxes: tuple[Box, ...] = (), *, floor: bool = True) -> np.ndarray:
    """Return float32 depth along the optical axis (120, 160)."""
    rows, columns = np.mgrid[0 : CAMERA.height, 0 : CAMERA.width]
    rays = np.stack([(columns - CAMERA.cx) / CAMERA.fx, (rows - CAMERA.cy) / CAMERA.fy, np.ones(rows.shape)], axis=-1)
    ahead, left, up = np.moveaxis(rays @ mount.rotation.T, -1, 0)
    depth_m = np.full(rows.shape, np.inf)

    def add(candidate: np.ndarray, hit: np.ndarray) -> None:
        np.copyto(depth_m, candidate, where=hit & (candidate > 0) & (candidate < depth_m))

    with np.errstate(divide="ignore", invalid="ignore"):
        if floor:
            add(-mount.height_m / up, up < 0)
        add(wall_m / ahead, ahead > 0)
        for face_m, left_edge_m, right_edge_m, height_m in boxes:
            z = face_m / ahead
            side, over_floor = left * z, up * z + mount.height_m
            inside = (side < left_edge_m) & (side > right_edge_m) & (over_floor > 0) & (over_floor < height_m)
            add(z, (ahead > 0) & inside)
    return depth_m.astype(np.float32)
