"""Which clock says when an image was taken: its header's, or, where a driver leaves that unset, the recording's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

__all__ = ["Clock", "header_clock_runs"]

Clock = Literal["auto", "header", "recorded"]
MOST_FAULTS = 0.1  # of the stamps: a message that was recorded twice is no broken clock


def header_clock_runs(stamps_ns: Sequence[int]) -> bool:
    """Tell whether the stamps of one topic's headers tell its images apart: set, and hardly any of them twice."""
    unset = sum(stamp <= 0 for stamp in stamps_ns)
    repeated = len(stamps_ns) - len(set(stamps_ns))
    return max(unset, repeated) <= MOST_FAULTS * len(stamps_ns)
