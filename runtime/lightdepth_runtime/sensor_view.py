"""What a ROS CameraInfo tells: its matrices, and which part of the sensor an image shows.

Its matrices are for the whole sensor at full resolution; the region of interest, then binning, say which part of it an
image shows (https://www.ros.org/reps/rep-0104.html, sensor_msgs/msg/CameraInfo). K is for raw images, P for rectified
ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from .errors import LightDepthError

__all__ = ["CameraMisfitError", "View", "matrix", "published_view", "values_seen", "view_of"]

SAME_SHAPE = 0.01  # of the aspect ratio: sizes are whole pixels


class CameraMisfitError(LightDepthError):
    """A CameraInfo that doesn't tell the camera of an image: of another shape, or without a size."""


@dataclass(frozen=True)
class View:
    """What an image shows of the sensor: from `left` and `top` on, `x` and `y` of its pixels to one of the sensor's.

    A sensor's column u is the image's column `(u + 0.5 - left) * x - 0.5`; pixel centres stand at whole numbers.
    """

    left: int
    top: int
    x: float
    y: float


def values_seen(
    message: Any,  # Any: a message class of whichever ROS library is there
    view: View,
    width: int,
    height: int,
    *,
    rectified: bool = False,
) -> tuple[float, float, float, float, int, int]:
    """Return fx, fy, cx, cy, width and height of an image of `width` x `height` pixels that shows this view.

    K counts, and P for rectified images where it is filled in.
    """
    k, p = matrix(message, "k"), matrix(message, "p")
    fx, fy, cx, cy = k[0], k[4], k[2], k[5]
    if rectified and len(p) == 12 and all(math.isfinite(value) for value in p) and p[0] > 0 and p[5] > 0:
        fx, fy, cx, cy = p[0], p[5], p[2], p[6]
    center = (cx + 0.5 - view.left) * view.x - 0.5, (cy + 0.5 - view.top) * view.y - 0.5
    return fx * view.x, fy * view.y, *center, width, height


def published_view(message: Any) -> tuple[View, int, int]:  # Any: as above
    """Return what images show as the message says they are published, cut to its roi, then binned; with their size.

    Raises:
        CameraMisfitError: the CameraInfo has no size, or a roi outside it.
    """
    return _views(message)[0]


def view_of(message: Any, width: int, height: int) -> View:  # Any: as above, or anything with its fields
    """Find out which part of the sensor an image of `width` x `height` pixels shows.

    It may be the region of interest, the whole sensor, either one binned, or any of these made smaller or larger as a
    whole. Exact sizes are looked for first.

    Raises:
        CameraMisfitError: the image has another shape than all of these, or the CameraInfo has no size.
    """
    views = _views(message)
    for view, *size in views:
        if size == [width, height]:
            return view
    for view, view_width, view_height in views:
        if abs(width * view_height / (height * view_width) - 1) <= SAME_SHAPE:
            return View(view.left, view.top, view.x * width / view_width, view.y * height / view_height)
    raise CameraMisfitError(
        f"The CameraInfo is for images of {views[0][1]}x{views[0][2]} pixels and these have {width}x{height}, another "
        "shape, so that it can't be told how they were cut; its focal length isn't used. Give --focal-px or --fov, or "
        "record the CameraInfo that belongs to these images."
    )


def _views(message: Any) -> list[tuple[View, int, int]]:  # Any: as above
    """Return the region of interest, the whole binned, and the whole, each with the size of its image."""
    width, height = int(message.width), int(message.height)
    if width < 1 or height < 1:
        raise CameraMisfitError(
            f"The CameraInfo gives a focal length for images of {width}x{height} pixels, so it isn't used; give "
            "--focal-px or --fov, or mend the driver's calibration file."
        )
    x, y = (max(1, int(getattr(message, name, 0))) for name in ("binning_x", "binning_y"))
    windows = [(0, 0, width, height, x, y), (0, 0, width, height, 1, 1)]
    roi = getattr(message, "roi", None)
    if roi is not None and roi.width > 0 and roi.height > 0:
        left, top, roi_width, roi_height = int(roi.x_offset), int(roi.y_offset), int(roi.width), int(roi.height)
        if left + roi_width > width or top + roi_height > height:
            raise CameraMisfitError(
                f"The CameraInfo's region of interest, {roi_width}x{roi_height} at {left}, {top}, lies outside its "
                f"{width}x{height} pixels, so its focal length isn't used; give --focal-px or --fov."
            )
        windows.insert(0, (left, top, roi_width, roi_height, x, y))
    return [(View(left, top, 1 / x, 1 / y), max(1, w // x), max(1, h // y)) for left, top, w, h, x, y in windows]


def matrix(message: Any, name: str) -> list[float]:  # Any: as above
    """Return a matrix row by row: ROS 2 names it in small letters, ROS 1 in capitals."""
    values = getattr(message, name, None)
    return [float(value) for value in (getattr(message, name.upper(), ()) if values is None else values)]
