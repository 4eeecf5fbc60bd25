"""The fields of a CameraInfo for the image that depth has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..spec import Intrinsics

__all__ = ["CameraFields"]


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
    roi: tuple[int, int, int, int, bool] = (0, 0, 0, 0, False)  # x_offset, y_offset, height, width, do_rectify

    @classmethod
    def of(cls, camera: Intrinsics) -> CameraFields:
        """Describe a pinhole camera without distortion."""
        k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]], np.float64)
        p = np.hstack([k, np.zeros((3, 1))])
        return cls(camera.height, camera.width, "plumb_bob", np.zeros(5), k.ravel(), np.eye(3).ravel(), p.ravel())

    @classmethod
    def read(cls, message: Any) -> CameraFields:  # Any: a message class of whichever ROS library is there
        """Copy a CameraInfo of ROS 1 (capital D, K, R, P) or ROS 2."""
        matrices = {
            name: np.array(getattr(message, name if hasattr(message, name) else name.upper()), np.float64)
            for name in "dkrp"
        }
        roi = message.roi
        return cls(
            int(message.height),
            int(message.width),
            str(message.distortion_model),
            **matrices,
            binning_x=int(message.binning_x),
            binning_y=int(message.binning_y),
            roi=(int(roi.x_offset), int(roi.y_offset), int(roi.height), int(roi.width), bool(roi.do_rectify)),
        )

    @property
    def intrinsics(self) -> Intrinsics | None:
        """The pinhole camera of `k`; None where nobody calibrated it: its matrix is then all zero."""
        if not self.k[0] > 0:
            return None
        fx, fy, cx, cy = (float(self.k[number]) for number in (0, 4, 2, 5))
        return Intrinsics(fx, fy, cx, cy, self.width, self.height)

    def resized(self, height: int, width: int) -> CameraFields:
        """Return the camera for its image stretched to another size, pixel centres at whole numbers.

        A driver that publishes a smaller image than the calibrated one is described as it is: nothing is binned or cut.
        """
        if (height, width) == (self.height, self.width) or min(self.height, self.width) < 1:
            return self
        x, y = width / self.width, height / self.height
        # u' + 0.5 = (u + 0.5) x; the same for rows. Distortion is in parts of the focal length and stays.
        stretch = np.array([[x, 0, (x - 1) / 2], [0, y, (y - 1) / 2], [0, 0, 1]])
        k = (stretch @ self.k.reshape(3, 3)).ravel()
        p = (stretch @ self.p.reshape(3, 4)).ravel()
        return CameraFields(height, width, self.distortion_model, self.d, k, self.r, p)
