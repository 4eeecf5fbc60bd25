"""ROS image messages to arrays and back. Any class with the fields of `sensor_msgs` will do: rclpy's, rosbags'.

Fields: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/Image.html; encodings: sensor_msgs/image_encodings.hpp;
depth (16UC1 millimetres with 0 for none, 32FC1 metres with NaN for none): https://www.ros.org/reps/rep-0118.html.
"""

import math
import struct
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError
from ...images.bits import bits_in_use, declared_bits, eight_bits
from ...images.complete import completed
from ...images.decode import decode_image, decode_rgb
from ...images.millimetres import depth_as_mm
from ...images.opencv import import_cv2
from ...pairs.depth_unit import DepthUnit
from ...pairs.depth_unit import decode_depth as decode_values
from .encodings import COLOR_ENCODINGS, DEPTH_ENCODINGS, ColorEncoding
from .rvl import decode_rvl

__all__ = [
    "NANOSECONDS",
    "DepthEncoding",
    "DepthImage",
    "color_bits",
    "decode_color",
    "decode_depth",
    "encode_depth",
    "stamp_ns",
    "unpadded_rows",
]

DepthEncoding = Literal["32FC1", "16UC1"]
NANOSECONDS = 1_000_000_000
# Before the compressed picture stands compressed_depth_image_transport's ConfigHeader: format, and two parameters of
# inverse depth.
_DEPTH_HEADER = struct.Struct("<iff")
_RVL_SIZE = struct.Struct("<ii")  # columns and rows, before the stream
_COLORS = "rgb8, bgr8, rgba8, bgra8 or mono8, one of them in 16 bits, a Bayer pattern, yuv422"
_PNG_START = b"\x89PNG"
_PNG_BITS = 24  # where the header says how many a value has
_MOST_PIXELS = 1 << 30  # as OpenCV decodes


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


def decode_color(message: Any, name: str = "The image message", *, bits: int | None = None) -> NDArray[np.uint8]:
    """Turn an Image or a CompressedImage into uint8 RGB (H, W, 3).

    Args:
        message: an encoding of `COLOR_ENCODINGS`, with any row padding; or JPEG, PNG and what else OpenCV decodes (Any:
            a message class of whichever ROS library is there).
        name: what errors call it.
        bits: how many bits of 16-bit encodings are in use (`color_bits`); by default as many as this image uses.

    Raises:
        LightDepthError: another encoding, data too short for the size, or a damaged JPEG or PNG.
    """
    if hasattr(message, "format"):  # CompressedImage
        return _compressed_color(message, name, bits or 8)
    encoding = _color_encoding(message, name)
    pixels = _pixels(message, encoding.dtype, encoding.channels, name)
    if encoding.dtype == np.uint16:
        pixels = eight_bits(pixels, bits)
    cv2 = import_cv2()
    try:
        return np.ascontiguousarray(encoding.to_rgb(pixels))
    except cv2.error as error:  # YUV of an odd width, a Bayer mosaic of a single row
        raise LightDepthError(
            f"{name} is damaged: {message.width}x{message.height} pixels can't be {message.encoding} ({error.err}). "
            "Leave the message out."
        ) from error


def color_bits(message: Any, name: str = "The image message", *, least: int = 8) -> int:  # Any: as above
    """Return how many bits an image uses, at least `least`; that is `least` itself for 8-bit encodings and JPEG.

    A 16-bit camera's frames are to be cut by one rule: pass what the frames before used as `least`.

    Raises:
        LightDepthError: as `decode_color`.
    """
    if hasattr(message, "format"):
        content = _compressed_bytes(message, name)
        if not (content.startswith(_PNG_START) and content[_PNG_BITS] == 16):
            return least
        cv2 = import_cv2()
        values = decode_image(completed(content, name), name, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
        return bits_in_use(values.astype(np.uint16, copy=False), least, declared_bits(content))
    encoding = _color_encoding(message, name)
    if encoding.dtype != np.uint16:
        return least
    return bits_in_use(_pixels(message, encoding.dtype, encoding.channels, name), least)


def decode_depth(
    message: Any,  # Any: as above
    name: str = "The depth message",
    *,
    unit: DepthUnit | None = None,
) -> NDArray[np.float32]:
    """Turn a depth message into float32 (H, W) metres, 0 where there is no reading (0, NaN, infinite or negative).

    Args:
        message: 16UC1 or mono16 in millimetres, or 32FC1 or 64FC1 in metres, either byte order; or a CompressedImage as
            compressed_depth_image_transport writes it: PNG or RVL, 16UC1 or the inverse depth of 32FC1.
        name: what errors call it.
        unit: of the stored depth; by default millimetres for whole numbers and metres for floats.

    Raises:
        LightDepthError: another encoding, or damaged data.
    """
    if hasattr(message, "format"):  # CompressedImage
        return _compressed_depth(message, name, unit)
    if message.encoding not in DEPTH_ENCODINGS:
        raise LightDepthError(
            f"{name} has the encoding {message.encoding!r}; depth needs 16UC1 or mono16 (millimetres) or 32FC1 "
            "(metres). Choose the depth camera's image topic."
        )
    values = _pixels(message, DEPTH_ENCODINGS[message.encoding], 1, name)[:, :, 0]
    return decode_values(values, unit)


def encode_depth(
    depth_m: NDArray[np.float32], stamp_ns: int, frame_id: str, encoding: DepthEncoding = "32FC1"
) -> DepthImage:
    """Turn float32 (H, W) metres into message fields: metres as they are, or millimetres rounded to the nearest.

    In 16UC1 what is beyond 65.534 m, or no number, becomes 0: no reading.
    """
    if encoding == "32FC1":
        values = np.ascontiguousarray(depth_m, "<f4")
    else:
        values = depth_as_mm(depth_m).astype("<u2", copy=False)
    height, width = values.shape
    data = values.reshape(-1).view(np.uint8)  # (H, W) -> (H * W * bytes a pixel,)
    return DepthImage(stamp_ns, frame_id, height, width, encoding, width * values.itemsize, data)


def _pixels(message: Any, dtype: np.dtype[Any], channels: int, name: str) -> NDArray[Any]:  # Any: as above
    """Return (H, W, channels) in this machine's byte order, without row padding; a view where it can be."""
    height, width, step = int(message.height), int(message.width), int(message.step)
    row_bytes = width * channels * dtype.itemsize
    rows = unpadded_rows(message, row_bytes, step)
    if rows is None:
        raise LightDepthError(
            f"{name} is damaged: {width}x{height} pixels of {message.encoding} need rows of {row_bytes} bytes, got "
            f"{len(message.data)} bytes in rows of {step}. Leave the message out."
        )
    pixels = rows.view(dtype.newbyteorder(">" if message.is_bigendian else "<"))
    return pixels.reshape(height, width, channels).astype(dtype, copy=False)


def unpadded_rows(message: Any, row_bytes: int, step: int) -> NDArray[np.uint8] | None:  # Any: as above
    """Return a message's data as (height, row_bytes), a view where it can be; None where there is too little of it."""
    height = int(message.height)
    data = np.frombuffer(message.data, np.uint8)  # bytes, array.array or uint8 array
    if height < 1 or row_bytes < 1 or step < row_bytes or data.size < step * (height - 1) + row_bytes:
        return None
    return np.ascontiguousarray(np.lib.stride_tricks.as_strided(data, (height, row_bytes), (step, 1), writeable=False))


def _color_encoding(message: Any, name: str) -> ColorEncoding:  # Any: as above
    encoding = COLOR_ENCODINGS.get(message.encoding) or COLOR_ENCODINGS.get(str(message.encoding).lower())
    if encoding is None:
        what = (
            "it is depth"
            if message.encoding in DEPTH_ENCODINGS
            else f"colour images need {_COLORS} or a compressed topic"
        )
        raise LightDepthError(
            f"{name} has the encoding {message.encoding!r}; {what}. Choose another topic, or convert it by image_proc."
        )
    return encoding


def _compressed_bytes(message: Any, name: str) -> bytes:  # Any: as above
    content = bytes(message.data)
    if not content:
        raise LightDepthError(f"{name} is empty (0 bytes). Leave the message out.")
    return content


def _compressed_color(message: Any, name: str, least: int) -> NDArray[np.uint8]:  # Any: as above
    """Decode a CompressedImage; its format begins with the encoding that was compressed, as in `bayer_rggb8; jpeg`."""
    shape = str(message.format)
    encoding = shape.partition(";")[0].strip()
    if "compresseddepth" in shape.lower() or (encoding in DEPTH_ENCODINGS and encoding not in COLOR_ENCODINGS):
        raise LightDepthError(f"{name} has the format {shape!r}; it is depth. Choose the colour camera's topic.")
    is_usual = any(kind in shape.lower() for kind in ("jpeg", "jpg", "png"))
    shown = name if is_usual else f"{name} of the format {shape!r}"
    image = decode_rgb(_compressed_bytes(message, name), shown, least)
    grey = image[:, :, :1]
    if encoding.startswith("bayer_") and encoding in COLOR_ENCODINGS and (image == grey).all():
        return COLOR_ENCODINGS[encoding].to_rgb(grey)  # image_transport compresses the mosaic as it is
    return image


def _compressed_depth(message: Any, name: str, unit: DepthUnit | None) -> NDArray[np.float32]:  # Any: as above
    content, shape = _compressed_bytes(message, name), str(message.format)
    header = (0, 0.0, 0.0)
    if not content.startswith(_PNG_START) and len(content) >= _DEPTH_HEADER.size:
        header = _DEPTH_HEADER.unpack_from(content)
        content = content[_DEPTH_HEADER.size :]
    if content.startswith(_PNG_START):
        values = decode_image(completed(content, name), name, import_cv2().IMREAD_UNCHANGED)
    elif "rvl" in shape.lower():
        values = _rvl_depth(content, name)
    else:
        values = np.empty((0, 0, 0))
    if values.ndim != 2 or values.dtype != np.uint16:
        raise LightDepthError(
            f"{name} has the format {shape!r}; compressed depth needs a 16-bit PNG or RVL, without loss. Choose the "
            "raw depth topic, or play the recording through `image_transport republish` and record it anew."
        )
    a, b = header[1:]
    if shape.startswith("16UC1") or (a == 0 and "32FC1" not in shape):
        return decode_values(values, unit)
    if not (math.isfinite(a) and math.isfinite(b) and a > 0):
        raise LightDepthError(
            f"{name} is damaged: it holds inverse depth ({shape!r}) and its parameters are {a:g} and {b:g}. Choose the "
            "raw depth topic."
        )
    steps = values.astype(np.float32)
    with np.errstate(divide="ignore"):
        depth_m = np.float32(a) / (steps - np.float32(b))
    return decode_values(np.where(steps > 0, depth_m, np.float32(0)), unit)


def _rvl_depth(content: bytes, name: str) -> NDArray[np.uint16]:
    width, height = _RVL_SIZE.unpack_from(content) if len(content) >= _RVL_SIZE.size else (0, 0)
    try:
        if width < 1 or height < 1 or width * height > _MOST_PIXELS:
            raise ValueError(f"it has {width}x{height} pixels")
        return decode_rvl(content[_RVL_SIZE.size :], width * height).reshape(height, width)
    except ValueError as error:
        raise LightDepthError(f"{name} is damaged RVL: {error}. Leave the message out.") from error
