"""SteadyDepth: an estimator for streams."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..estimator import DepthEstimator
from ..images.preprocess import ChannelOrder, check_frame, resize_depth
from .filter import SteadyFilter

__all__ = ["SteadyDepth"]


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
