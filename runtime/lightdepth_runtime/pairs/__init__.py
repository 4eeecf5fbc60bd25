"""Recordings as pairs of colour and depth, whatever packaging they were downloaded in."""

from .load import MissingSplitError, load_pairs
from .pair import FrameData, Pair, PairSet, scenes_of, spread_indices

__all__ = ["FrameData", "MissingSplitError", "Pair", "PairSet", "load_pairs", "scenes_of", "spread_indices"]
