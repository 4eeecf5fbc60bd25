"""Depth as coloured points in space, and as a PLY file."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..spec import Intrinsics

__all__ = ["PointCloud", "encode_ply", "points_of"]

_VERTEX = np.dtype(
    [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1")]  # PLY's own names
)


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Points in the camera's optical frame: x right, y down, z forward."""

    points_m: NDArray[np.float32]  # (N, 3)
    colors: NDArray[np.uint8]  # RGB (N, 3)


def points_of(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, stride: int = 1
) -> PointCloud:
    """Turn each pixel with depth into a point: `x = (u - cx) z / fx`, `y = (v - cy) z / fy`.

    Args:
        depth_m: (H, W) along the optical axis; what is not positive and finite gives no point.
        image: RGB (H, W, 3).
        camera: for images of this size.
        stride: takes every n-th pixel of every n-th row.

    Raises:
        LightDepthError: sizes that differ.
    """
    camera.check_size(depth_m, image)
    depth_m, image = depth_m[::stride, ::stride], image[::stride, ::stride]
    known = np.isfinite(depth_m) & (depth_m > 0)
    row, column = np.nonzero(known)
    z = depth_m[known]  # (N,)
    x = (column * stride - camera.cx) / camera.fx * z
    y = (row * stride - camera.cy) / camera.fy * z
    return PointCloud(np.stack([x, y, z], axis=1).astype(np.float32), image[known])


def encode_ply(cloud: PointCloud) -> bytes:
    """Encode as binary little-endian PLY with float x, y, z in metres and uchar red, green, blue."""
    vertices = np.empty(len(cloud.points_m), _VERTEX)
    for number, axis in enumerate("xyz"):
        vertices[axis] = cloud.points_m[:, number]
    for number, color in enumerate(("red", "green", "blue")):
        vertices[color] = cloud.colors[:, number]
    properties = "".join(
        f"property {'float' if kind.kind == 'f' else 'uchar'} {name}\n"
        for name, (kind, *_) in (_VERTEX.fields or {}).items()
    )
    header = (
        "ply\nformat binary_little_endian 1.0\ncomment metres, camera's optical frame: x right, y down, z forward\n"
        f"element vertex {len(vertices)}\n{properties}end_header\n"
    )
    return header.encode("ascii") + vertices.tobytes()
