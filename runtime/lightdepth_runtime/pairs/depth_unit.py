"""What the numbers of a depth file mean: units per metre, declared by name or number, or implied by the file's type."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError, nearest
from ..images.opencv import import_cv2

__all__ = [
    "DENSEDEPTH",
    "NAMED_UNITS",
    "SATURATED_8BIT",
    "SATURATED_16BIT",
    "DepthUnit",
    "decode_depth",
    "parse_depth_unit",
]

MILLIMETRES_PER_METRE = 1000.0
# DenseDepth's training PNGs: 255 is 10 m (ialhashim/DenseDepth issue 146; Hu et al., nyu_transform.py).
STEPS_PER_METRE_8BIT = 25.5
SATURATED_8BIT = 255
SATURATED_16BIT = 65535


@dataclass(frozen=True)
class DepthUnit:
    """Units per metre of stored depth.

    `rotated` undoes what SUN RGB-D does to its 16-bit PNGs: their three lowest bits stand on top. `bytes_are_10m` takes
    8-bit files as DenseDepth's, where 255 is 10 m, and others by `per_metre`.
    """

    name: str
    per_metre: float
    rotated: bool = False
    bytes_are_10m: bool = False


DENSEDEPTH = DepthUnit("densedepth", MILLIMETRES_PER_METRE, bytes_are_10m=True)
_SUN = DepthUnit("sunrgbd", MILLIMETRES_PER_METRE, rotated=True)
NAMED_UNITS: dict[str, DepthUnit] = {
    unit.name: unit
    for unit in (
        DepthUnit("millimetres", MILLIMETRES_PER_METRE),
        DepthUnit("centimetres", 100.0),
        DepthUnit("metres", 1.0),
        DepthUnit("tum", 5000.0),  # TUM RGB-D, ICL-NUIM: 16-bit PNG, 5000 is 1 m
        DepthUnit("kitti", 256.0),  # KITTI's depth devkit
        DepthUnit("realsense-l515", 4000.0),  # 0.25 mm
        DepthUnit("realsense-sr300", 8000.0),  # 0.125 mm
        DepthUnit("realsense-d405", 10000.0),  # 0.1 mm
        DepthUnit("nice-slam", 6553.5),  # its renders of Replica: 65535 is 10 m
        _SUN,  # SUNRGBDtoolbox, read3dPoints.m
        DENSEDEPTH,
    )
}
_OTHER_NAMES = {
    "rotate3": _SUN,
    "mm": NAMED_UNITS["millimetres"],
    "millimeters": NAMED_UNITS["millimetres"],
    "cm": NAMED_UNITS["centimetres"],
    "m": NAMED_UNITS["metres"],
    "meters": NAMED_UNITS["metres"],
}


@lru_cache(maxsize=64)
def parse_depth_unit(text: str | float) -> DepthUnit:
    """Read a unit: one of `NAMED_UNITS`, or units per metre as a number ("5000", "5000 per metre").

    Raises:
        LightDepthError: an unknown name, or a number that is not positive.
    """
    words = str(text).strip().lower().removesuffix("per metre").removesuffix("per meter").strip()
    known = {**NAMED_UNITS, **_OTHER_NAMES}
    if words in known:
        return known[words]
    try:
        per_metre = float(words)
    except ValueError as error:
        raise LightDepthError(
            f"Unknown depth unit {str(text)!r}{nearest(words, known)}. Give units per metre (1000 for millimetres) or "
            f"one of {', '.join(NAMED_UNITS)}."
        ) from error
    if not (math.isfinite(per_metre) and per_metre > 0):
        raise LightDepthError(f"Depth units per metre must be a positive number, got {text}.")
    return DepthUnit(f"{per_metre:g}", per_metre)


def decode_depth(values: NDArray[np.generic], unit: DepthUnit | None = None) -> NDArray[np.float32]:
    """Turn stored depth (H, W) into float32 metres, 0 where there is no reading.

    Without a unit whole numbers are millimetres and floats metres. What is negative, infinite or NaN becomes 0, and so
    does the largest value of 16 bits: sensors write it for what is too far, 7-Scenes for what it doesn't know.
    """
    is_float = np.issubdtype(values.dtype, np.floating)
    if unit is None:
        unit = NAMED_UNITS["metres" if is_float else "millimetres"]
    if unit.bytes_are_10m and values.dtype == np.uint8:
        return _decode_dense_depth(values.astype(np.uint8, copy=False))
    if unit.rotated and values.dtype == np.uint16:
        stored = values.astype(np.uint16, copy=False)
        values = (stored >> 3) | (stored << 13)
    depth_m = values.astype(np.float32) / np.float32(unit.per_metre)
    if values.dtype == np.uint16:
        depth_m[values == SATURATED_16BIT] = 0
    elif values.dtype != np.uint8:
        depth_m = np.where(np.isfinite(depth_m) & (depth_m > 0), depth_m, np.float32(0))
    return depth_m


def _decode_dense_depth(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn DenseDepth's training bytes into metres: the middle of each step, `(v + 0.5) / 25.5`.

    0 (no reading) and 255 (saturated: 10 m or anything beyond) become 0.
    """
    table = ((np.arange(256) + 0.5) / STEPS_PER_METRE_8BIT).astype(np.float32)
    table[[0, SATURATED_8BIT]] = 0
    return import_cv2().LUT(values, table)
