"""The scale of an image, or of a stream, from the camera's height over the floor that it shows."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..floor import CameraMount, find_floor
from ..spec import Intrinsics
from .correction import DepthCorrection
from .fit import LARGEST_SCALE

__all__ = ["FloorScale", "correction_from_height"]

# In the scale's logarithm: median errors are 0.02 on NYU training pairs and 0.07 on TUM frames that are no test.
HEIGHT_STD = 0.1
MEMORY = 0.9  # of the scale from frame to frame: a mean of the last ten or so


def correction_from_height(depth_m: NDArray[np.float32], camera: Intrinsics, mount: CameraMount) -> DepthCorrection:
    """Return the factor that puts the floor as far under the camera as it is.

    Args:
        depth_m: the model's depth (H, W).
        camera: for images of this size.
        mount: the camera's height, tilt and roll. Five degrees of error in the tilt matter.

    Raises:
        LightDepthError: no floor is seen, a height that means another unit, or sizes that differ.
    """
    floor = find_floor(depth_m, camera, tilt_deg=mount.tilt_deg, roll_deg=mount.roll_deg)
    scale = mount.height_m / floor.height_m
    if not 1 / LARGEST_SCALE < scale < LARGEST_SCALE:
        raise LightDepthError(
            f"The camera's height of {mount.height_m:g} m is {scale:.2g} times what the floor in the image says; give "
            "it in metres, and check the tilt."
        )
    return DepthCorrection("scale", (math.log(scale),), HEIGHT_STD)


class FloorScale:
    """Correct the frames of a mounted camera by the floor; where none is seen, by the last one that was.

    Args:
        mount: the camera's height, tilt and roll.
    """

    def __init__(self, mount: CameraMount) -> None:
        self.mount = mount
        self._log_scale: float | None = None

    def reset(self) -> None:
        """Forget the floor."""
        self._log_scale = None

    def apply(self, depth_m: NDArray[np.float32], camera: Intrinsics) -> str | None:
        """Correct depth (H, W) in place; return why this frame itself gave no scale, None where it did."""
        note = None
        try:
            log_scale = math.log(correction_from_height(depth_m, camera, self.mount).scale)
            before = self._log_scale
            self._log_scale = log_scale if before is None else MEMORY * before + (1 - MEMORY) * log_scale
        except LightDepthError as error:
            note = str(error)
        if self._log_scale is not None:
            np.multiply(depth_m, np.float32(math.exp(self._log_scale)), out=depth_m)
        return note
