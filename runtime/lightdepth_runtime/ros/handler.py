"""What a ROS node does with an image message: depth with the same stamp and frame. It needs no ROS to be tested."""

from typing import Any, get_args

import numpy as np

from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..spec import Intrinsics
from .message import DepthEncoding, DepthImage, calibrated, decode_color, encode_depth, stamp_ns

__all__ = ["DepthHandler"]


class DepthHandler:
    """Answer image messages with depth, in metres at the image's size, with its stamp and frame id.

    Where the model knows the camera it was trained with, depth is scaled to this camera's focal length as soon as
    `camera_info` has told it; the corrected depth is right for images of the size that CameraInfo gives.

    Raises:
        LightDepthError: an encoding other than 32FC1 and 16UC1.
    """

    def __init__(self, estimator: DepthEstimator, encoding: DepthEncoding = "32FC1") -> None:
        if encoding not in get_args(DepthEncoding):  # a node's parameter is any text
            raise LightDepthError(f"Depth's encoding is {' or '.join(get_args(DepthEncoding))}, got {encoding!r}.")
        self._estimator = estimator
        self._encoding: DepthEncoding = encoding
        self._camera: Intrinsics | None = None

    def camera_info(self, message: Any) -> None:  # Any: a message class of whichever ROS library is there
        """Take the camera from a CameraInfo; an uncalibrated one (all zero) is ignored."""
        self._camera = calibrated(message)

    def __call__(self, message: Any, name: str = "The image message") -> DepthImage:  # Any: as above
        """Estimate depth of an Image or CompressedImage.

        Raises:
            LightDepthError: an encoding that is no colour image, damaged data, or depth that is no number.
        """
        image = decode_color(message, name)
        depth_m = self._estimator(image, focal_px=self._focal_px(image.shape[1]))
        if not np.isfinite(depth_m).all():
            raise LightDepthError(f"{name}: the model's depth has NaN or infinite values; export it again in FP32.")
        return encode_depth(depth_m, stamp_ns(message), str(message.header.frame_id), self._encoding)

    def _focal_px(self, width: int) -> float | None:
        """Return the focal length in pixels of this image; a driver may publish it smaller than the calibration."""
        if self._camera is None or self._estimator.spec.intrinsics is None:
            return None
        return self._camera.fx * width / self._camera.width
