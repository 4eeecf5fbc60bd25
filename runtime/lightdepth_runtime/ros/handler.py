"""What a ROS node does with an image message: depth and what follows from it. It needs no ROS to be tested."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..frames.frame import DepthFrame, Frame
from ..scale import DepthCorrection, FloorScale, ScaleTracker
from ..sensor_view import CameraMisfitError
from ..spec import Intrinsics
from ..steady import SteadyDepth
from .answer import AnswerOptions, RobotAnswer, make_answer
from .image_camera import camera_of, is_calibrated, is_rectified
from .messages.camera_info import CameraFields
from .messages.cloud import decode_points
from .messages.image import NANOSECONDS, color_bits, decode_color, stamp_ns

__all__ = ["DepthHandler"]

OLDEST_NS = NANOSECONDS // 2  # of known points beside an image


class DepthHandler:
    """Answer image messages with depth in metres at the image's size, with its stamp and frame id, and what follows.

    Where the model knows the camera it was trained with, depth is scaled to this camera's focal length as soon as
    `camera_info` has told it. `points` and `range` take known distances, which correct depth (`ScaleTracker`); with
    `scale_from_floor` the camera's mount does. What can't be used is no error: `note` says it, and depth goes on.

    Args:
        estimator: the model.
        options: what is published, and how.
        steady: smooth depth over time.
        scale_from_floor: correct the scale by the floor under the mounted camera.
        topic: of the images; its name tells whether they are rectified.

    Raises:
        LightDepthError: `scale_from_floor` without a mount.
    """

    def __init__(
        self,
        estimator: DepthEstimator,
        options: AnswerOptions | None = None,
        *,
        steady: bool = False,
        scale_from_floor: bool = False,
        topic: str = "",
    ) -> None:
        self._options = options or AnswerOptions()
        if scale_from_floor and self._options.mount is None:
            raise LightDepthError("The scale from the floor needs the camera's height; give camera_height and tilt.")
        self._estimator = estimator
        self._steady = SteadyDepth(estimator) if steady else None
        mount = self._options.mount
        self._floor = FloorScale(mount) if scale_from_floor and mount is not None else None
        self._tracker = ScaleTracker()
        self._camera: CameraFields | None = None
        self._rectified = is_rectified(topic)
        self._bits = 8  # that 16-bit images use: the most so far, so that a dark one isn't brightened
        self._points: tuple[int, NDArray[np.float64]] | None = None  # when, and (N, 3) in the optical frame
        self._range: tuple[int, float] | None = None
        self.note: str | None = None  # why the last frame has less than it could
        self.correction: DepthCorrection | None = None  # of the last frame

    def camera_info(self, message: Any) -> None:  # Any: a message class of whichever ROS library is there
        """Take the camera from a CameraInfo; an uncalibrated one (all zero) is used for nothing, and replaces no other.

        Another camera than before forgets the scale and the frames before.

        Raises:
            LightDepthError: a calibration that is no camera's; the one before stays.
        """
        camera, before = CameraFields.read(message), self._camera
        if before is not None and is_calibrated(before) and not is_calibrated(camera):
            return
        if before is not None and not camera.is_like(before):
            self._tracker.reset()
            if self._floor is not None:
                self._floor.reset()
            if self._steady is not None:
                self._steady.reset()
        self._camera = camera

    def points(self, message: Any) -> None:  # Any: as above
        """Take known points from a PointCloud2 in the camera's optical frame; those that it doesn't see don't matter.

        Raises:
            LightDepthError: a damaged message, or one without x, y and z.
        """
        self._points = stamp_ns(message), decode_points(message)

    def range(self, message: Any) -> None:  # Any: as above
        """Take what a range finder beside the camera says, in parallel with its axis; out of range is no distance."""
        value = float(message.range)
        if math.isfinite(value) and message.min_range <= value <= message.max_range and value > 0:
            self._range = stamp_ns(message), value

    def __call__(self, message: Any, name: str = "The image message") -> RobotAnswer:  # Any: as above
        """Estimate depth of an Image or CompressedImage.

        Raises:
            LightDepthError: an encoding that is no colour image, damaged data, or depth that is no number.
        """
        self._bits = color_bits(message, name, least=self._bits)
        image = decode_color(message, name, bits=self._bits)
        height, width = image.shape[:2]
        self.note = None
        fields, camera = self._camera_for(height, width)
        done = self._estimate(Frame(image, stamp_ns(message), name, camera, str(message.header.frame_id)))
        if not np.isfinite(done.depth_m).all():
            raise LightDepthError(f"{name}: the model's depth has NaN or infinite values; export it again in FP32.")
        self._correct(done)
        return make_answer(done, self._options, fields)

    def _camera_for(self, height: int, width: int) -> tuple[CameraFields | None, Intrinsics | None]:
        """Return the camera of an image of this size, as fields and as a pinhole; None where it can't be told."""
        if self._camera is None:
            return None, None
        if not is_calibrated(self._camera):
            return self._camera, None
        try:
            camera = camera_of(self._camera, width, height, rectified=self._rectified)
        except CameraMisfitError as error:
            self.note = str(error)
            return None, None
        return self._camera.resized(height, width), camera

    def _estimate(self, frame: Frame) -> DepthFrame:
        camera = frame.intrinsics
        focal_px = camera.fx if camera is not None and self._estimator.spec.intrinsics is not None else None
        if self._steady is not None:
            depth_m = self._steady(frame.image, frame.stamp_ns, focal_px=focal_px)
            return DepthFrame(frame, depth_m, camera, self._steady.sigma)
        depth_m, sigma = self._estimator.depth_and_sigma(frame.image, focal_px=focal_px)
        return DepthFrame(frame, depth_m, camera, sigma)

    def _correct(self, done: DepthFrame) -> None:
        """Correct depth in place by the floor, then by known points."""
        depth_m, camera, stamp = done.depth_m, done.camera, done.frame.stamp_ns
        if camera is None:
            if self._points or self._range or self._floor:
                self.note = self.note or "Known points and the floor need a calibrated camera_info, and none has come."
            return
        if self._floor is not None:
            self.note = self._floor.apply(depth_m, camera)
        try:
            self.correction = self._tracker.update(depth_m, self._known(stamp, camera), stamp, done.frame.image)
        except LightDepthError as error:
            self.note = str(error)
            self.correction = self._tracker.update(depth_m, [], stamp)
        self.correction.apply(depth_m)

    def _known(self, stamp: int, camera: Intrinsics) -> NDArray[np.float64]:
        """Return the known points of this moment that the camera sees, (N, 3): x, y, metres."""
        found = []
        if self._points is not None and abs(stamp - self._points[0]) <= OLDEST_NS:
            ahead = self._points[1][self._points[1][:, 2] > 0]
            x = ahead[:, 0] / ahead[:, 2] * camera.fx + camera.cx
            y = ahead[:, 1] / ahead[:, 2] * camera.fy + camera.cy
            seen = (np.abs(x - (camera.width - 1) / 2) < camera.width / 2) & (
                np.abs(y - (camera.height - 1) / 2) < camera.height / 2
            )
            found.append(np.stack([x, y, ahead[:, 2]], axis=1)[seen])
        if self._range is not None and abs(stamp - self._range[0]) <= OLDEST_NS:
            found.append(np.array([[camera.cx, camera.cy, self._range[1]]]))
        return np.concatenate(found) if found else np.empty((0, 3))
