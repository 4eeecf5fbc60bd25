"""How a camera stands over the floor: its height, its tilt, its roll."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.opencv import import_cv2

__all__ = ["CameraMount"]

STEEPEST_DEG = 85.0  # a camera that looks straight down has no direction ahead
MOST_ROLL_DEG = 45.0  # beyond it, images turned by 90 degrees are nearer to upright


@dataclass(frozen=True)
class CameraMount:
    """A camera's place on a robot that stands on level floor.

    `height_m` is the optical centre's height over the floor. `tilt_deg` is positive where the camera looks down.
    `roll_deg` is positive where the camera's right side hangs lower.

    Raises:
        LightDepthError: a height that is not positive and finite, a tilt of more than 85 degrees, or a roll of more
            than 45.
    """

    height_m: float
    tilt_deg: float = 0.0
    roll_deg: float = 0.0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.height_m) and self.height_m > 0):
            raise LightDepthError(f"A camera's height is a positive number of metres, got {self.height_m}.")
        if not abs(self.tilt_deg) <= STEEPEST_DEG:  # NaN is not
            raise LightDepthError(
                f"A camera's tilt lies within {STEEPEST_DEG:g} degrees of level, got {self.tilt_deg}."
            )
        if not abs(self.roll_deg) <= MOST_ROLL_DEG:
            raise LightDepthError(
                f"A camera's roll lies within {MOST_ROLL_DEG:g} degrees of level, got {self.roll_deg}. Turn its images "
                "upright first: depth of images that lie on their side is more than twice as wrong."
            )

    @classmethod
    def from_up(cls, height_m: float, up: NDArray[np.floating]) -> CameraMount:
        """Return the mount of a camera in whose optical frame `up` (3,) points away from the floor."""
        x, y, z = (float(value) for value in up / np.linalg.norm(up))
        return cls(height_m, math.degrees(math.asin(-z)), math.degrees(math.atan2(-x, -y)))

    @property
    def up(self) -> NDArray[np.float64]:
        """The direction away from the floor, a unit vector (3,) in the optical frame: x right, y down, z forward."""
        tilt, roll = math.radians(self.tilt_deg), math.radians(self.roll_deg)
        level = -math.cos(tilt)
        return np.array([level * math.sin(roll), level * math.cos(roll), -math.sin(tilt)])

    @property
    def rotation(self) -> NDArray[np.float64]:
        """The matrix (3, 3) from the optical frame to the level one: x ahead, y left, z up (REP 103)."""
        up = self.up
        ahead = np.array([0.0, 0.0, 1.0]) - up[2] * up
        ahead /= np.linalg.norm(ahead)
        return np.stack([ahead, np.cross(up, ahead).astype(np.float64), up])

    def quaternion(self) -> tuple[float, float, float, float]:
        """Return the rotation from the level frame to the optical one as ROS has it in a transform: x, y, z, w.

        A transform with the optical frame as parent and the level frame as child holds it.
        """
        axes = self.rotation.T  # its columns are the level frame's axes in the optical frame
        turn = import_cv2().Rodrigues(axes)[0].ravel()  # the axis of rotation, as long as the angle
        half = float(np.linalg.norm(turn)) / 2
        x, y, z = turn / (2 * half) * math.sin(half)  # no camera's axes are the level frame's: the angle isn't 0
        return float(x), float(y), float(z), math.cos(half)
