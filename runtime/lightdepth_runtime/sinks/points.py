"""Depth as coloured points in space, and as a PLY file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec import Intrinsics

__all__ = ["PointCloud", "encode_ply", "organized_points", "points_of"]

_VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]  # PLY's own names
)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in the camera's optical frame: x right, y down, z forward."""

    points_m: NDArray[np.float32]  # (N, 3)
    colors: NDArray[np.uint8]  # RGB (N, 3)


def organized_points(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, stride: int = 1
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """Turn each pixel into a point with its colour: `x = (u - cx) z / fx`, `y = (v - cy) z / fy`.

    Args:
        depth_m: (H, W) along the optical axis; what is not positive and finite gives NaN.
        image: RGB (H, W, 3).
        camera: for images of this size.
        stride: takes every n-th pixel of every n-th row.

    Returns:
        float32 x, y, z (rows, columns, 3) in metres, in the camera's optical frame, and uint8 RGB of the same shape.

    Raises:
        LightDepthError: sizes that differ.
    """
    camera.check_size(depth_m, image)
    height, width = depth_m.shape
    z = depth_m[::stride, ::stride]
    z = np.where(np.isfinite(z) & (z > 0), z, np.float32(np.nan))
    across = ((np.arange(0, width, stride) - camera.cx) / camera.fx).astype(np.float32)
    down = ((np.arange(0, height, stride) - camera.cy) / camera.fy).astype(np.float32)
    return np.stack([across[None, :] * z, down[:, None] * z, z], axis=2), image[::stride, ::stride]


def points_of(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, stride: int = 1
) -> PointCloud:
    """Return the points of all pixels with depth; arguments and errors are those of `organized_points`."""
    points_m, colors = organized_points(depth_m, image, camera, stride)
    known = np.isfinite(points_m[:, :, 2])
    return PointCloud(points_m[known], colors[known])


def encode_ply(cloud: PointCloud) -> bytes:
    """Encode as binary little-endian PLY with float x, y, z in metres and uchar red, green, blue."""
    vertices = np.empty(len(cloud.points_m), _VERTEX)
    vertices["x"], vertices["y"], vertices["z"] = cloud.points_m.T
    vertices["red"], vertices["green"], vertices["blue"] = cloud.colors.T
    kinds = {"f": "float", "u": "uchar"}
    properties = "".join(f"property {kinds[_VERTEX[name].kind]} {name}\n" for name in _VERTEX.names or ())
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres, camera's optical frame: x right, y down, z forward\n"
        f"element vertex {len(vertices)}\n{properties}end_header\n"
    )
    return header.encode("ascii") + vertices.tobytes()
