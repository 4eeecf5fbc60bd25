"""The fields of a CameraInfo for the image that depth has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ...sensor_view import matrix, view_of
from ...spec import Intrinsics

__all__ = ["CameraFields", "Roi"]


class Roi(NamedTuple):
    """The fields of a `sensor_msgs/RegionOfInterest`, in their order; all 0 is the whole sensor."""

    x_offset: int = 0
    y_offset: int = 0
    height: int = 0
    width: int = 0
    do_rectify: bool = False


_WHOLE = Roi()


@dataclass(frozen=True, eq=False)
class CameraFields:
    """The fields of a `sensor_msgs/CameraInfo`, its header aside: float64 `d` (N,), `k` and `r` (9,), `p` (12,)."""

    height: int
    width: int
    distortion_model: str
    d: NDArray[np.float64]
    k: NDArray[np.float64]
    r: NDArray[np.float64]
    p: NDArray[np.float64]
    binning_x: int = 0
    binning_y: int = 0
    roi: Roi = _WHOLE

    @classmethod
    def of(cls, camera: Intrinsics) -> CameraFields:
        """Describe a pinhole camera without distortion."""
        k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)
        p = np.hstack([k, np.zeros((3, 1))])
        return cls(camera.height, camera.width, "plumb_bob", np.zeros(5), k.ravel(), np.eye(3).ravel(), p.ravel())

    @classmethod
    def read(cls, message: Any) -> CameraFields:  # Any: a message class of whichever ROS library is there
        """Copy a CameraInfo of ROS 1 (capital D, K, R, P) or ROS 2."""
        matrices = {name: np.array(matrix(message, name), np.float64) for name in "dkrp"}
        roi = message.roi
        return cls(
            int(message.height),
            int(message.width),
            str(message.distortion_model),
            **matrices,
            binning_x=int(message.binning_x),
            binning_y=int(message.binning_y),
            roi=Roi(int(roi.x_offset), int(roi.y_offset), int(roi.height), int(roi.width), bool(roi.do_rectify)),
        )

    def is_like(self, other: CameraFields) -> bool:
        """Tell whether both are one pinhole camera."""
        same_size = (self.height, self.width) == (other.height, other.width)
        return same_size and np.array_equal(self.k, other.k, equal_nan=True)

    def resized(self, height: int, width: int) -> CameraFields:
        """Return the camera of an image of another size; `sensor_view.view_of` finds what it shows.

        The result has neither a region of interest nor binning: it is the image's own camera.

        Raises:
            CameraMisfitError: a calibrated camera whose image has another shape.
        """
        if not self.k[0] > 0:  # nobody calibrated it: repeated as it is
            return self
        view = view_of(self, width, height)
        is_cut = self.roi.width > 0 or max(self.binning_x, self.binning_y) > 1
        if (height, width) == (self.height, self.width) and not is_cut:
            return self
        x, y = view.x, view.y
        # u' + 0.5 = (u + 0.5 - left) x; the same for rows. Distortion is in parts of the focal length and stays.
        stretch = np.array(
            [[x, 0, (0.5 - view.left) * x - 0.5], [0, y, (0.5 - view.top) * y - 0.5], [0, 0, 1]], np.float64
        )
        k = (stretch @ self.k.reshape(3, 3)).ravel()
        p = (stretch @ self.p.reshape(3, 4)).ravel()
        return CameraFields(height, width, self.distortion_model, self.d, k, self.r, p)
