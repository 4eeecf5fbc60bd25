"""Depth of a stream that doesn't flicker, without delay."""

from .filter import SteadyFilter
from .steady import SteadyDepth

__all__ = ["SteadyDepth", "SteadyFilter"]
