"""What a ROS CameraInfo tells of an image: which camera took it, seen in pixels of that very image."""

from __future__ import annotations

import math
import re
from typing import Any

from ..sensor_view import matrix, values_seen, view_of
from ..spec import Intrinsics

__all__ = ["camera_of", "info_topics", "is_calibrated", "is_rectified"]

_RECTIFIED = re.compile(r"(?:^|[/_])(?:rect(?:ified)?|undist(?:orted)?)(?:[/_]|$)")
_TRANSPORTS = ("/compressed", "/compressedDepth", "/zstd", "/theora", "/ffmpeg")


def info_topics(topic: str) -> list[str]:
    """Return where the CameraInfo of an image topic may stand, the likeliest first.

    Beside it (`/camera/image_raw` and `/camera/camera_info`), below it, or as librealsense records it
    (`/device_0/sensor_1/Color_0/image/data` and `.../Color_0/info/camera_info`). Transports add a level to the image's.
    """
    for transport in _TRANSPORTS:
        topic = topic.removesuffix(transport)
    folder = topic[: topic.rfind("/") + 1]  # "" of a topic that was recorded without its leading slash
    above = folder[: folder.rstrip("/").rfind("/") + 1]
    return [f"{folder}camera_info", f"{topic}/camera_info", f"{above}info/camera_info"]


def is_rectified(topic: str) -> bool:
    """Tell by its name whether a topic's images are rectified: `image_rect_color`, `rectified/image`, `undistorted`."""
    return _RECTIFIED.search(topic) is not None


def is_calibrated(message: Any) -> bool:  # Any: a message class of whichever ROS library is there
    """Tell whether anybody calibrated the camera: its matrix is all zero where nobody did."""
    k = matrix(message, "k")
    return all(math.isfinite(value) for value in k) and k[0] > 0 and k[4] > 0


def camera_of(
    message: Any,  # Any: as above
    width: int,
    height: int,
    *,
    rectified: bool = False,
) -> Intrinsics:
    """Return the camera of an image of `width` x `height` pixels, which `view_of` finds on the sensor.

    Args:
        message: a calibrated CameraInfo of ROS 1 or ROS 2.
        width: of the image.
        height: of the image.
        rectified: the image is rectified, so that P counts and not K.

    Raises:
        CameraMisfitError: the image has another shape than what was calibrated, or the CameraInfo has no size.
    """
    view = view_of(message, width, height)
    return Intrinsics(*values_seen(message, view, width, height, rectified=rectified))
