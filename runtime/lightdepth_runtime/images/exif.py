"""The focal length of a photograph from its EXIF: what it would be on 35 mm film, whose frame has a known diagonal."""

from __future__ import annotations

import math

from .orientation import tiff_block, tiff_tags

__all__ = ["focal_35mm", "focal_px_of_35mm"]

FILM_DIAGONAL_MM = math.hypot(36, 24)
_EXIF_POINTER, _FOCAL_35MM = 0x8769, 0xA405  # Exif 2.32, 4.6.3 and 4.6.5


def focal_35mm(content: bytes) -> int | None:
    """Return `FocalLengthIn35mmFilm` of the bytes of a JPEG, PNG or WebP file, in millimetres; None if it has none."""
    block = tiff_block(content)
    pointer = tiff_tags(block).get(_EXIF_POINTER)
    return (tiff_tags(block, pointer).get(_FOCAL_35MM) or None) if pointer else None  # 0 says that it is unknown


def focal_px_of_35mm(focal_mm: float, height: int, width: int) -> float:
    """Return the focal length in pixels of a (height, width) photograph, held upright or not.

    The equivalence is by the diagonal of the frame (CIPA DCG-001), so it holds for any shape of sensor.
    """
    return focal_mm * math.hypot(height, width) / FILM_DIAGONAL_MM
