"""Depth of a stream that doesn't flicker, without delay."""

from .steady import SteadyDepth, SteadyFilter

__all__ = ["SteadyDepth", "SteadyFilter"]
