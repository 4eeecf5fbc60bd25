"""Pixel encodings of ROS images (sensor_msgs/image_encodings.hpp) to RGB."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...images.opencv import import_cv2

__all__ = ["COLOR_ENCODINGS", "DEPTH_ENCODINGS", "ColorEncoding"]


@dataclass(frozen=True)
class ColorEncoding:
    """Values a pixel, bytes a value, and how uint8 (H, W, channels) becomes RGB (H, W, 3)."""

    channels: int
    dtype: np.dtype[Any]  # Any: uint8 or uint16
    to_rgb: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]


def _by_opencv(code: str) -> Callable[[NDArray[np.uint8]], NDArray[np.uint8]]:
    def convert(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
        cv2 = import_cv2()
        return cv2.cvtColor(pixels, getattr(cv2, code))

    return convert


_CHANNELS = {
    "mono": (1, lambda pixels: np.repeat(pixels, 3, axis=2)),
    "rgb": (3, lambda pixels: pixels),
    "bgr": (3, lambda pixels: pixels[:, :, ::-1]),
    "rgba": (4, lambda pixels: pixels[:, :, :3]),
    "bgra": (4, lambda pixels: pixels[:, :, 2::-1]),
    **{f"bayer_{p}": (1, _by_opencv(f"COLOR_Bayer{p.upper()}2RGB")) for p in ("rggb", "bggr", "gbrg", "grbg")},
}
# OpenCV's own names say nothing of the order of colours; its convention is BGR.
_OPENCV = {"UC1": "mono", "UC3": "bgr", "UC4": "bgra"}
_YUV = {"yuv422": "UYVY", "uyvy": "UYVY", "yuv422_yuy2": "YUYV", "yuyv": "YUYV", "yuy2": "YUYV"}
_8, _16 = np.dtype(np.uint8), np.dtype(np.uint16)

COLOR_ENCODINGS: dict[str, ColorEncoding] = {
    **{f"{name}8": ColorEncoding(channels, _8, to_rgb) for name, (channels, to_rgb) in _CHANNELS.items()},
    **{f"{name}16": ColorEncoding(channels, _16, to_rgb) for name, (channels, to_rgb) in _CHANNELS.items()},
    **{f"8{name}": ColorEncoding(_CHANNELS[of][0], _8, _CHANNELS[of][1]) for name, of in _OPENCV.items()},
    **{
        f"16{name}": ColorEncoding(_CHANNELS[of][0], _16, _CHANNELS[of][1])
        for name, of in _OPENCV.items()
        if of != "mono"  # 16UC1 is depth in millimetres
    },
    **{name: ColorEncoding(2, _8, _by_opencv(f"COLOR_YUV2RGB_{order}")) for name, order in _YUV.items()},
}
# Whole numbers are millimetres unless the recording says otherwise, floats metres. librealsense records Z16 as mono16.
DEPTH_ENCODINGS: dict[str, np.dtype[Any]] = {  # Any: uint16, float32 or float64
    "16UC1": _16,
    "mono16": _16,
    "32FC1": np.dtype(np.float32),
    "64FC1": np.dtype(np.float64),
}
