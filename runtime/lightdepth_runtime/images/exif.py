"""The focal length of a photograph from its EXIF: what it would be on 35 mm film, whose frame has a known diagonal."""

from __future__ import annotations

import math

from .orientation import tiff_block

__all__ = ["focal_35mm", "focal_px_of_35mm"]

FILM_DIAGONAL_MM = math.hypot(36, 24)
_EXIF_POINTER, _FOCAL_35MM = 0x8769, 0xA405  # Exif 2.32, 4.6.3 and 4.6.5
_ENTRY_BYTES = 12  # of a TIFF directory: tag, type, count, value
_SHORT, _LONG, _IFD = 3, 4, 13


def focal_35mm(content: bytes) -> int | None:
    """Return `FocalLengthIn35mmFilm` of the bytes of a JPEG, PNG or WebP file, in millimetres; None if it has none."""
    block = tiff_block(content)
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return None
    order = "little" if block[:1] == b"I" else "big"

    def number(start: int, size: int) -> int:
        return int.from_bytes(block[start : start + size], order)

    def entry(directory: int, wanted: int) -> int | None:
        for start in range(directory + 2, directory + 2 + number(directory, 2) * _ENTRY_BYTES, _ENTRY_BYTES):
            if number(start, 2) == wanted and number(start + 2, 2) in (_SHORT, _LONG, _IFD):
                return number(start + 8, 2 if number(start + 2, 2) == _SHORT else 4)
        return None

    pointer = entry(number(4, 4), _EXIF_POINTER)
    return (entry(pointer, _FOCAL_35MM) or None) if pointer else None  # 0 says that it is unknown


def focal_px_of_35mm(focal_mm: float, height: int, width: int) -> float:
    """Return the focal length in pixels of a (height, width) photograph, held upright or not.

    The equivalence is by the diagonal of the frame (CIPA DCG-001), so it holds for any shape of sensor.
    """
    return focal_mm * math.hypot(height, width) / FILM_DIAGONAL_MM
