"""Depth as the fields of a PointCloud2, and known points out of one.

Fields: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/PointCloud2.html; the colour is packed as the Point Cloud
Library does, which RViz shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError
from ...spec import Intrinsics

__all__ = ["FLOAT32", "FLOAT64", "CloudFields", "decode_points", "encode_cloud"]

FLOAT32, FLOAT64 = 7, 8  # of sensor_msgs/PointField
_POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


@dataclass(frozen=True, eq=False)
class CloudFields:
    """The fields of a `sensor_msgs/PointCloud2`, its header aside; `data` is uint8 (height * row_step,).

    Organised as the image is: `height` rows of `width` points, x, y, z and rgb at offsets 0, 4, 8 and 12, NaN where
    there is no depth.
    """

    height: int
    width: int
    data: NDArray[np.uint8]
    is_dense: bool
    point_step: int = _POINT.itemsize
    names: tuple[str, ...] = ("x", "y", "z", "rgb")

    @property
    def row_step(self) -> int:
        """Bytes of a row."""
        return self.width * self.point_step


def encode_cloud(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, stride: int = 1
) -> CloudFields:
    """Turn depth into coloured points in the camera's optical frame, in metres.

    Args:
        depth_m: (H, W) along the optical axis; what is not positive and finite becomes NaN.
        image: RGB (H, W, 3).
        camera: for images of this size.
        stride: takes every n-th pixel of every n-th row.

    Raises:
        LightDepthError: sizes that differ.
    """
    camera.check_size(depth_m, image)
    height, width = depth_m.shape
    z, colors = depth_m[::stride, ::stride], image[::stride, ::stride].astype(np.uint32)
    known = np.isfinite(z) & (z > 0)
    z = np.where(known, z, np.nan).astype(np.float32)
    points = np.empty(z.shape, _POINT)
    across = ((np.arange(0, width, stride) - camera.cx) / camera.fx).astype(np.float32)
    down = ((np.arange(0, height, stride) - camera.cy) / camera.fy).astype(np.float32)
    points["x"], points["y"], points["z"] = across[None, :] * z, down[:, None] * z, z
    points["rgb"] = colors[:, :, 0] << 16 | colors[:, :, 1] << 8 | colors[:, :, 2]
    rows, columns = z.shape
    return CloudFields(rows, columns, points.reshape(-1).view(np.uint8), bool(known.all()))


def decode_points(message: Any, name: str = "The points message") -> NDArray[np.float64]:  # Any: whichever ROS library
    """Return the points (N, 3) of a PointCloud2 that are finite: x, y, z in its frame.

    Raises:
        LightDepthError: no x, y and z of 32 or 64 bit floats, or data too short for the size.
    """
    kinds = {FLOAT32: "f4", FLOAT64: "f8"}
    order = ">" if message.is_bigendian else "<"
    found = {field.name: field for field in message.fields}
    if not all(axis in found and found[axis].datatype in kinds for axis in "xyz"):
        raise LightDepthError(
            f"{name} needs x, y and z as FLOAT32 or FLOAT64; it has {', '.join(found) or 'no fields'}."
        )
    height, width = int(message.height), int(message.width)
    step, row_step = int(message.point_step), int(message.row_step)
    ends = [int(found[axis].offset) + int(kinds[found[axis].datatype][1]) for axis in "xyz"]
    data = np.frombuffer(message.data, np.uint8)  # bytes, array.array or uint8 array
    if height < 1 or width < 1:
        return np.empty((0, 3))
    if max(ends) > step or row_step < width * step or data.size < row_step * (height - 1) + width * step:
        raise LightDepthError(
            f"{name} is damaged: {width}x{height} points of {step} bytes don't fit into {data.size} bytes in rows of "
            f"{row_step}. Leave the message out."
        )
    dtype = np.dtype(
        {
            "names": list("xyz"),
            "formats": [order + kinds[found[axis].datatype] for axis in "xyz"],
            "offsets": [int(found[axis].offset) for axis in "xyz"],
            "itemsize": step,
        }
    )
    rows = np.lib.stride_tricks.as_strided(data, (height, width * step), (row_step, 1), writeable=False)
    values = np.ascontiguousarray(rows).view(dtype).reshape(-1)
    points = np.stack([values[axis].astype(np.float64) for axis in "xyz"], axis=1)  # (N, 3)
    return points[np.isfinite(points).all(axis=1)]
