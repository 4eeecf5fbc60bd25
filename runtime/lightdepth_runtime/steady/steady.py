"""SteadyDepth: an estimator for streams. It smooths the scale of the whole, then each pixel where nothing changed."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..frames.motion import Motion, MotionSensor
from ..images.opencv import import_cv2
from ..images.preprocess import ChannelOrder, check_frame, resize_depth

__all__ = ["SteadyDepth", "SteadyFilter"]

# Chosen on TUM freiburg1_rpy, where `benchmarks/steady.py` measures too, and held to an imitated drive ahead.
SCALE_TIME_S = 0.15  # memory of the scale
PIXEL_TIME_S = 0.2  # memory of a pixel
CHANGE = 0.3  # of log depth: beyond it a pixel shows something else
MOST_SCALE = 0.15  # of log depth: the whole is never moved further from what the network says now
LONGEST_GAP_S = 1.0  # after it the stream begins anew
CUT = 0.3  # share of the image that the older frame explains: less, and it is another scene
SAMPLE = 3  # every third pixel of every third row tells the scale
NEAREST_M = 1e-3


class SteadyFilter:
    """Smooth the depth maps of one camera; the result of a frame is there with the frame.

    What the last result says is moved by optical flow to where things are now, and brought nearer by as much as they
    look larger. The common factor of the network's new depth against it is taken out for a part, at most 15 %; then
    each pixel is averaged with it, less where depth or colour changed, and by sigma where the model has it. A cut, a
    gap of a second, a clock that goes back or another size begins anew.
    """

    def __init__(self) -> None:
        self._sensor = MotionSensor()
        self._stamp_ns = 0
        self._log_depth: NDArray[np.float32] | None = None
        self._sigma: NDArray[np.float32] | None = None
        self.resets = 0  # how often the stream began anew, the first frame included

    def reset(self) -> None:
        """Forget the frames before."""
        self._sensor.reset()
        self._log_depth = self._sigma = None

    def update(
        self,
        image: NDArray[np.uint8],
        depth_m: NDArray[np.float32],
        stamp_ns: int,
        sigma: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]:
        """Return the steady depth of one frame, float32 metres in the shape of `depth_m`.

        Args:
            image: the frame, uint8 (H, W, C); the order of its colours doesn't matter.
            depth_m: the model's depth of it, (h, w) of any size, positive and finite.
            stamp_ns: its time in nanoseconds.
            sigma: the model's sigma of log depth, (h, w).

        Raises:
            LightDepthError: depth that is not positive and finite; the stream begins anew after it.
        """
        cv2 = import_cv2()
        if not (depth_m.size and np.isfinite(depth_m).all()) or depth_m.min() <= 0:
            self.reset()
            raise LightDepthError("Steady depth needs depth that is positive and finite everywhere; export it in FP32.")
        gap_s = (stamp_ns - self._stamp_ns) / 1e9
        if self._log_depth is None or self._log_depth.shape != depth_m.shape or not 0 < gap_s <= LONGEST_GAP_S:
            self.reset()
        self._stamp_ns = stamp_ns
        log_depth = cv2.log(np.maximum(depth_m, np.float32(NEAREST_M)))
        motion = self._sensor.update(image)
        steady = None if motion is None else self._smooth(log_depth, sigma, motion, gap_s)
        self.resets += steady is None
        self._log_depth, self._sigma = log_depth if steady is None else steady, sigma
        return cv2.exp(self._log_depth)

    def _smooth(
        self, log_depth: NDArray[np.float32], sigma: NDArray[np.float32] | None, motion: Motion, gap_s: float
    ) -> NDArray[np.float32] | None:
        """Return smoothed log depth (h, w), or None at a cut."""
        cv2 = import_cv2()
        planes = [plane for plane in (self._log_depth, self._sigma) if plane is not None]  # sigma where it has one
        [older, *older_sigma], known = motion.bring(*planes)
        if known.mean() < CUT:
            return None
        older -= np.float32(motion.approach)
        change = log_depth - older
        common = float(np.median(change[::SAMPLE, ::SAMPLE][known[::SAMPLE, ::SAMPLE]]))
        pull = min(max(-math.exp(-gap_s / SCALE_TIME_S) * common, -MOST_SCALE), MOST_SCALE)
        change -= np.float32(common)  # what is left is the pixel's own: else the scale would be smoothed twice
        weight = cv2.exp(change * change * np.float32(-(CHANGE**-2)))  # (h, w) float32
        weight *= known * np.float32(math.exp(-gap_s / PIXEL_TIME_S))
        if sigma is not None and older_sigma:
            ratio = older_sigma[0] / sigma  # the older one's variance over the newer one's is its square
            weight /= weight + (1 - weight) * ratio * ratio
        weight *= change
        return log_depth + np.float32(pull) - weight


class SteadyDepth:
    """Estimate depth of one camera's frames in their order, without flicker and without delay.

    It works at the model's resolution, so that it costs a tenth of the shipped model's own time. Each camera needs its
    own; they may share an estimator.

    Example:
        steady = SteadyDepth(DepthEstimator.load())
        for frame in camera:
            depth_m = steady(frame.image, frame.stamp_ns)
    """

    def __init__(self, estimator: DepthEstimator) -> None:
        self.estimator = estimator
        self._filter = SteadyFilter()
        self._sigma: NDArray[np.float32] | None = None  # of the last frame, at the model's resolution
        self._shape = (0, 0)  # of the last frame

    @property
    def resets(self) -> int:
        """How often the stream began anew: the first frame, cuts, gaps and jumps of the clock."""
        return self._filter.resets

    @property
    def sigma(self) -> NDArray[np.float32] | None:
        """Sigma of the last frame, (H, W) at its size; None of a model without sigma."""
        return None if self._sigma is None else resize_depth(self._sigma, *self._shape)

    def reset(self) -> None:
        """Begin anew with the next frame."""
        self._filter.reset()

    def __call__(
        self,
        image: NDArray[np.generic],
        stamp_ns: int,
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
    ) -> NDArray[np.float32]:
        """Estimate depth of the next frame: float32 metres at the image's size.

        Args:
            image: as `DepthEstimator.__call__` takes it.
            stamp_ns: the frame's time in nanoseconds.
            channel_order: "bgr" for OpenCV's arrays.
            focal_px: the camera's focal length in pixels of this image.

        Raises:
            LightDepthError: as a call of the estimator, or depth that is not positive and finite.
        """
        frame = check_frame(image)
        depth_m, sigma = self.estimator.depth_and_sigma(
            frame, channel_order=channel_order, focal_px=focal_px, resolution="model"
        )
        steady_m = self._filter.update(frame, depth_m, stamp_ns, sigma)
        self._sigma, self._shape = sigma, (frame.shape[0], frame.shape[1])
        return resize_depth(steady_m, *self._shape)
