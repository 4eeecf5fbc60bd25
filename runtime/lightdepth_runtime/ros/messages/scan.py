"""Obstacles as the fields of a LaserScan: https://docs.ros.org/en/rolling/p/sensor_msgs/msg/LaserScan.html."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...obstacles import Obstacles
from ...obstacles.nearest import FARTHEST_M, NEAREST_M

__all__ = ["ScanFields", "encode_scan"]


@dataclass(frozen=True, eq=False)
class ScanFields:
    """The fields of a `sensor_msgs/LaserScan`, its header aside; `ranges` is float32 (N,).

    In its frame x is ahead, y left and z up (REP 103). Infinite says that nothing stands within `range_max`, NaN that
    nothing was measured (REP 117).
    """

    angle_min: float
    angle_max: float
    angle_increment: float
    range_min: float
    range_max: float
    ranges: NDArray[np.float32]


def encode_scan(obstacles: Obstacles) -> ScanFields:
    """Turn the nearest obstacle of each direction into a scan whose beams are the directions' middles."""
    angles = obstacles.angles_rad
    step = float(obstacles.edges_rad[1] - obstacles.edges_rad[0])
    return ScanFields(float(angles[0]), float(angles[-1]), step, NEAREST_M, FARTHEST_M, obstacles.ranges_m)
