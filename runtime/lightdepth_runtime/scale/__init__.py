"""The right metres for this camera now: from a few known distances, from frame to frame, from the camera's height."""

from .correction import DepthCorrection
from .fit import fit_correction
from .height import FloorScale, correction_from_height
from .points import KnownPoints, axis_depth_m
from .tracker import ScaleTracker

__all__ = [
    "DepthCorrection",
    "FloorScale",
    "KnownPoints",
    "ScaleTracker",
    "axis_depth_m",
    "correction_from_height",
    "fit_correction",
]
