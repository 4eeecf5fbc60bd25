"""RVL, the lossless compression of depth in ROS's compressedDepth (Wilson, "Fast Lossless Depth Image Compression")."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["decode_rvl"]

_NIBBLES = 8  # of four bits in a word of 32, the highest first
_DIGIT_BITS, _MORE = 3, 0b1000  # each nibble has three bits of a number, and one that says whether more follow


def decode_rvl(content: bytes, pixels: int) -> NDArray[np.uint16]:
    """Decompress to uint16 (pixels,).

    The stream is a count of zeros, a count of readings, the readings as differences from the one before, and so on.

    Raises:
        ValueError: the stream ends early, or promises more pixels than there are.
    """
    numbers = _numbers(np.frombuffer(content[: len(content) // 4 * 4], "<u4"))
    depth = np.zeros(pixels, np.uint16)
    place = position = last = 0
    while place < pixels:
        if position + 1 >= len(numbers):
            raise ValueError(f"it ends at pixel {place} of {pixels}")
        zeros, readings = int(numbers[position]), int(numbers[position + 1])
        position, place = position + 2, place + zeros
        if zeros + readings == 0 or place + readings > pixels or position + readings > len(numbers):
            raise ValueError(f"it is damaged at pixel {place} of {pixels}")
        folded = numbers[position : position + readings]
        values = last + np.cumsum((folded >> 1) ^ -(folded & 1))  # even numbers are positive differences, odd negative
        depth[place : place + readings] = values.astype(np.uint16)
        last = int(values[-1]) if readings else last
        position, place = position + readings, place + readings
    return depth


def _numbers(words: NDArray[np.uint32]) -> NDArray[np.int64]:
    """Return the numbers of a stream of nibbles, the lowest three bits first."""
    shifts = np.arange(4 * (_NIBBLES - 1), -1, -4, dtype=np.uint32)
    nibbles = ((words[:, None] >> shifts) & 0xF).ravel().astype(np.int64)
    ends = np.flatnonzero(nibbles < _MORE)
    if not len(ends):
        return np.empty(0, np.int64)
    starts = np.concatenate([[0], ends[:-1] + 1])
    digit = np.arange(ends[-1] + 1) - np.repeat(starts, ends - starts + 1)
    parts = (nibbles[: ends[-1] + 1] & 0b111) << np.minimum(_DIGIT_BITS * digit, 60)
    return np.add.reduceat(parts, starts)
