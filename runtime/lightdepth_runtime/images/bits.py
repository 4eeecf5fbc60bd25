"""Pictures of 16-bit pixels to 8 bits, by the bits that are in use: cameras store 10, 12 or 14 bits in 16."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["bits_in_use", "declared_bits", "eight_bits", "pnm_header"]

_CAMERA_BITS = (8, 10, 12, 14)  # what sensors and drivers give; anything above is taken as 16
_PNM_STARTS = (b"P2", b"P3", b"P5", b"P6")
_WRITERS_LARGEST = 65535
_PNM_HEADER_BYTES = 1024  # it may have comments
_COLORS = 3  # channels; a fourth is alpha, which many writers set to 65535 whatever the others' range


def bits_in_use(values: NDArray[np.uint16], least: int = 8, declared: int | None = None) -> int:
    """Return how many bits the pixels of a 16-bit picture (H, W) or (H, W, C) use: 8, 10, 12, 14 or 16.

    The rule: the `declared` bits where all values fit in them, else all 16, to which PNG's standard scales them up.
    Where nothing is declared, the fewest of 8, 10, 12, 14 and 16 in which all fit. A picture of 16 bits whose brightest
    pixel is below a quarter of white is then taken for one of 14 bits or fewer.

    Args:
        values: the pixels; alpha doesn't count.
        least: the bits that other frames of the same recording use, so that a dark frame isn't brightened.
        declared: what the file says (`declared_bits`).
    """
    largest = int((values[:, :, :_COLORS] if values.ndim == 3 else values).max())
    for bits in (declared,) if declared else _CAMERA_BITS:
        if bits >= least and largest < 1 << bits:
            return bits
    return 16


def eight_bits(values: NDArray[np.uint16], bits: int | None = None) -> NDArray[np.uint8]:
    """Cut 16-bit pixels to the upper 8 of the `bits` in use (by default what `bits_in_use` says), shape kept."""
    shift = max(0, (bits or bits_in_use(values)) - 8)
    return np.minimum(values >> shift, 255).astype(np.uint8)


def declared_bits(content: bytes) -> int | None:
    """Return the bits that the bytes of a picture say its colours have; None where they don't.

    Told by PNG's sBIT chunk (ISO/IEC 15948, 11.3.2.4), and by the largest value in the header of a PGM or PPM. There
    65535 tells nothing, since it is what writers of 16-bit arrays put.
    """
    if content[:2] in _PNM_STARTS:
        largest = max(pnm_header(content)[2:], default=_WRITERS_LARGEST)
        return largest.bit_length() if largest < _WRITERS_LARGEST else None
    start = content.find(b"sBIT", 0, max(0, content.find(b"IDAT")))
    if start < 4:
        return None
    length = int.from_bytes(content[start - 4 : start], "big")
    samples = content[start + 4 : start + 4 + (_COLORS if length >= _COLORS else 1)]  # without alpha
    return max(samples, default=0) or None


def pnm_header(content: bytes) -> list[int]:
    """Return width, height and largest value of a PGM's or PPM's first bytes; fewer numbers of a damaged one."""
    lines = (line.split(b"#")[0] for line in content[2:_PNM_HEADER_BYTES].splitlines())
    words = b" ".join(lines).split()[:3]
    return [int(word) for word in words if word.isdigit()]
