"""Recordings as pairs of colour and depth, whatever packaging they were downloaded in."""

from .depth_unit import DepthUnit, parse_depth_unit
from .load import MissingSplitError, load_pairs, splits_of
from .pair import FrameData, Pair, PairSet, scenes_of, spread_indices

__all__ = [
    "DepthUnit",
    "FrameData",
    "MissingSplitError",
    "Pair",
    "PairSet",
    "load_pairs",
    "parse_depth_unit",
    "scenes_of",
    "splits_of",
    "spread_indices",
]
