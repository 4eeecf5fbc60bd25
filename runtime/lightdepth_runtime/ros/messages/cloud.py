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
from ...sinks.points import organized_points
from ...spec import Intrinsics
from .image import unpadded_rows

__all__ = ["FLOAT32", "FLOAT64", "POINT", "CloudFields", "decode_points", "encode_cloud"]

FLOAT32, FLOAT64 = 7, 8  # of sensor_msgs/PointField
POINT = np.dtype([("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<u4")])


@dataclass(frozen=True, eq=False)
class CloudFields:
    """The fields of a `sensor_msgs/PointCloud2` that change; `data` is uint8 (height * width * 16,).

    Organised as the image is: `height` rows of `width` points, each of them a `POINT`, NaN where there is no depth.
    """

    height: int
    width: int
    data: NDArray[np.uint8]
    is_dense: bool


def encode_cloud(
    depth_m: NDArray[np.float32], image: NDArray[np.uint8], camera: Intrinsics, stride: int = 1
) -> CloudFields:
    """Turn depth into coloured points, NaN without depth; arguments and errors are those of `organized_points`."""
    points_m, colors = organized_points(depth_m, image, camera, stride)
    red, green, blue = np.moveaxis(colors.astype(np.uint32), 2, 0)
    rows, columns = red.shape
    points = np.empty((rows, columns), POINT)
    points["x"], points["y"], points["z"] = np.moveaxis(points_m, 2, 0)
    points["rgb"] = red << 16 | green << 8 | blue
    is_dense = bool(np.isfinite(points["z"]).all())
    return CloudFields(rows, columns, points.reshape(-1).view(np.uint8), is_dense)


def decode_points(message: Any, name: str = "The points message") -> NDArray[np.float64]:  # Any: whichever ROS library
    """Return the points (N, 3) of a PointCloud2 that are finite: x, y, z in its frame.

    Raises:
        LightDepthError: no x, y and z of 32 or 64 bit floats, or data too short for the size.
    """
    kinds = {FLOAT32: "f4", FLOAT64: "f8"}
    found = {field.name: field for field in message.fields}
    if not all(axis in found and found[axis].datatype in kinds for axis in "xyz"):
        raise LightDepthError(
            f"{name} needs x, y and z as FLOAT32 or FLOAT64; it has {', '.join(found) or 'no fields'}."
        )
    width, step = int(message.width), int(message.point_step)
    if message.height < 1 or width < 1:
        return np.empty((0, 3))
    order = ">" if message.is_bigendian else "<"
    formats = [np.dtype(order + kinds[found[axis].datatype]) for axis in "xyz"]
    offsets = [int(found[axis].offset) for axis in "xyz"]
    rows = unpadded_rows(message, width * step, int(message.row_step))
    if rows is None or any(offset + kind.itemsize > step for offset, kind in zip(offsets, formats, strict=True)):
        raise LightDepthError(
            f"{name} is damaged: {width}x{message.height} points of {step} bytes don't fit into {len(message.data)} "
            f"bytes in rows of {message.row_step}. Leave the message out."
        )
    dtype = np.dtype({"names": list("xyz"), "formats": formats, "offsets": offsets, "itemsize": step})
    values = rows.view(dtype).reshape(-1)
    points = np.stack([values[axis].astype(np.float64) for axis in "xyz"], axis=1)  # (N, 3)
    return points[np.isfinite(points).all(axis=1)]
