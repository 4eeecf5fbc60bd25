"""ROS image messages to arrays and back. Any class with the fields of `sensor_msgs` will do: rclpy's, rosbags'.

Fields: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/Image.html; encodings: sensor_msgs/image_encodings.hpp;
depth (16UC1 millimetres with 0 for none, 32FC1 metres with NaN for none): https://www.ros.org/reps/rep-0118.html.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.complete import completed
from ..images.decode import decode_image, decode_rgb
from ..images.opencv import import_cv2
from ..spec import Intrinsics

__all__ = [
    "NANOSECONDS",
    "DepthEncoding",
    "DepthImage",
    "calibrated",
    "decode_color",
    "decode_depth",
    "encode_depth",
    "stamp_ns",
]

DepthEncoding = Literal["32FC1", "16UC1"]
NANOSECONDS = 1_000_000_000
MILLIMETRES_PER_METRE = 1000
LARGEST_MM = 65535  # what 16 bits hold
_COMPRESSED_DEPTH_HEADER = 12  # bytes before the PNG: compressed_depth_image_transport's ConfigHeader

# Each encoding's pixel type, its number of channels, and how they become RGB.
_COLOR: dict[str, tuple[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]]] = {
    "rgb8": (3, lambda pixels: pixels),
    "bgr8": (3, lambda pixels: pixels[:, :, ::-1]),
    "rgba8": (4, lambda pixels: pixels[:, :, :3]),
    "bgra8": (4, lambda pixels: pixels[:, :, 2::-1]),
    "mono8": (1, lambda pixels: np.repeat(pixels, 3, axis=2)),
}
_DEPTH: dict[str, np.dtype[Any]] = {"16UC1": np.dtype(np.uint16), "32FC1": np.dtype(np.float32)}


@dataclass(frozen=True)
class DepthImage:
    """The fields of a `sensor_msgs/Image` that holds depth; `data` is uint8 (height * step,), little endian."""

    stamp_ns: int
    frame_id: str
    height: int
    width: int
    encoding: DepthEncoding
    step: int
    data: NDArray[np.uint8]


def stamp_ns(message: Any) -> int:  # Any: a message class of whichever ROS library is there
    """Return the header's stamp in nanoseconds: `sec` and `nanosec` (ROS 2, rosbags), or `secs` and `nsecs` (ROS 1)."""
    stamp = message.header.stamp
    if hasattr(stamp, "sec"):
        return int(stamp.sec) * NANOSECONDS + int(stamp.nanosec)
    return int(stamp.secs) * NANOSECONDS + int(stamp.nsecs)


def calibrated(message: Any) -> Intrinsics | None:  # Any: as above
    """Return the camera of a CameraInfo, or None where nobody calibrated it: its matrix is then all zero."""
    matrix = message.k if hasattr(message, "k") else message.K
    return Intrinsics.from_camera_info(message) if matrix[0] > 0 else None


def decode_color(message: Any, name: str = "The image message") -> NDArray[np.uint8]:  # Any: as above
    """Turn an Image or a CompressedImage into uint8 RGB (H, W, 3).

    Args:
        message: rgb8, bgr8, rgba8, bgra8 or mono8, with any row padding; or JPEG, PNG and what else OpenCV decodes.
        name: what errors call it.

    Raises:
        LightDepthError: another encoding, data too short for the size, or a damaged JPEG or PNG.
    """
    if hasattr(message, "format"):  # CompressedImage
        return decode_rgb(_compressed_bytes(message, name), Path(name))
    if message.encoding not in _COLOR:
        raise LightDepthError(
            f"{name} has the encoding {message.encoding!r}; colour images need {', '.join(_COLOR)} or a compressed "
            "topic. Choose another topic, or convert it with image_proc."
        )
    channels, to_rgb = _COLOR[message.encoding]
    return np.ascontiguousarray(to_rgb(_pixels(message, np.dtype(np.uint8), channels, name)))


def decode_depth(message: Any, name: str = "The depth message") -> NDArray[np.float32]:  # Any: as above
    """Turn a depth message into float32 (H, W) metres, 0 where there is no reading (0, NaN, infinite or negative).

    Args:
        message: 16UC1 in millimetres or 32FC1 in metres, either byte order; or a CompressedImage with a 16-bit PNG,
            as compressed_depth_image_transport writes for 16UC1.
        name: what errors call it.

    Raises:
        LightDepthError: another encoding, or damaged data.
    """
    if hasattr(message, "format"):  # CompressedImage
        return _millimetres_to_metres(_compressed_depth(message, name))
    if message.encoding not in _DEPTH:
        raise LightDepthError(
            f"{name} has the encoding {message.encoding!r}; depth needs 16UC1 (millimetres) or 32FC1 (metres). "
            "Choose the depth camera's image topic."
        )
    values = _pixels(message, _DEPTH[message.encoding], 1, name)[:, :, 0]
    if values.dtype.kind == "u":
        return _millimetres_to_metres(values)
    return np.where(np.isfinite(values) & (values > 0), values, 0).astype(np.float32)


def encode_depth(
    depth_m: NDArray[np.float32], stamp_ns: int, frame_id: str, encoding: DepthEncoding = "32FC1"
) -> DepthImage:
    """Turn float32 (H, W) metres into message fields: metres as they are, or millimetres rounded to the nearest.

    In 16UC1 what is beyond 65.535 m, or no number, becomes 0: no reading.
    """
    if encoding == "32FC1":
        values = np.ascontiguousarray(depth_m, "<f4")
    else:
        millimetres = np.rint(np.nan_to_num(depth_m, nan=0, posinf=0, neginf=0) * np.float32(MILLIMETRES_PER_METRE))
        values = np.where((millimetres > 0) & (millimetres <= LARGEST_MM), millimetres, 0).astype("<u2")
    height, width = values.shape
    data = values.reshape(-1).view(np.uint8)  # (H, W) -> (H * W * bytes a pixel,)
    return DepthImage(stamp_ns, frame_id, height, width, encoding, width * values.itemsize, data)


def _pixels(message: Any, dtype: np.dtype[Any], channels: int, name: str) -> NDArray[Any]:  # Any: as above
    """Return (H, W, channels) in this machine's byte order, without row padding; a view where it can be."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    data = np.frombuffer(message.data, np.uint8)  # bytes, array.array or uint8 array -> (height * step,)
    row = width * channels * dtype.itemsize
    if height < 1 or width < 1 or step < row or data.size < step * (height - 1) + row:
        raise LightDepthError(
            f"{name} is damaged: {width}x{height} pixels of {message.encoding} need rows of {row} bytes, got "
            f"{data.size} bytes in rows of {step}. Leave the message out."
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)  # (H, bytes a row)
    pixels = np.ascontiguousarray(rows).view(dtype.newbyteorder(">" if message.is_bigendian else "<"))
    return pixels.reshape(height, width, channels).astype(dtype, copy=False)


def _compressed_bytes(message: Any, name: str) -> bytes:  # Any: as above
    content = bytes(message.data)
    if not content:
        raise LightDepthError(f"{name} is empty (0 bytes). Leave the message out.")
    return content


def _compressed_depth(message: Any, name: str) -> NDArray[np.uint16]:  # Any: as above
    cv2 = import_cv2()
    content = bytes(message.data)
    if "compressedDepth" in message.format:
        content = content[_COMPRESSED_DEPTH_HEADER:]
    values = None
    if content.startswith(b"\x89PNG") and "32FC1" not in message.format:  # those are inverse depth in steps
        content = completed(content, Path(name))
        values = decode_image(content, Path(name), cv2.IMREAD_UNCHANGED)
    if values is None or values.ndim != 2 or values.dtype != np.uint16:
        raise LightDepthError(
            f"{name} has the format {message.format!r}; compressed depth needs a 16-bit PNG of 16UC1 millimetres. "
            "Record the raw depth topic."
        )
    return values.astype(np.uint16, copy=False)


def _millimetres_to_metres(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    return values.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
