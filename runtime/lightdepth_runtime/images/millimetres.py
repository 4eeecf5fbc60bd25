"""Depth in metres as 16-bit millimetres, the one conversion for files, ROS messages and labels."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["LARGEST_MM", "depth_as_mm"]

LARGEST_MM = 65534  # 65.534 m; 65535, the largest that 16 bits hold, reads as no reading


def depth_as_mm(depth_m: NDArray[np.floating]) -> NDArray[np.uint16]:
    """Turn metres (H, W) into millimetres, rounded to the nearest; 0 where there is no reading, as in ROS (REP 118).

    No reading is what isn't finite, isn't positive, or is farther than 65.534 m.
    """
    millimetres = np.rint(np.asarray(depth_m, np.float32) * np.float32(1000))
    is_reading = (millimetres > 0) & (millimetres <= LARGEST_MM)  # false for NaN
    return np.where(is_reading, millimetres, 0).astype(np.uint16)
