"""What a picture file says beside its pixels: EXIF's orientation and focal length, AVIF's own rotation and mirror.

OpenCV turns JPEG, PNG, WebP and TIFF by their EXIF, and leaves AVIF as it is stored.
"""

from __future__ import annotations

import math
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "SIDEWAYS",
    "as_stored",
    "focal_35mm",
    "focal_px_of_35mm",
    "is_avif",
    "orientation_of",
    "tiff_tags",
    "turned",
]

Pixel = TypeVar("Pixel", bound=np.generic)

SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations that exchange width and height
FILM_DIAGONAL_MM = math.hypot(36, 24)
_AVIF_STARTS = (b"ftypavif", b"ftypavis")  # at byte 4: ISO's base media format, and the brand
_EXIF_POINTER, _FOCAL_35MM = 0x8769, 0xA405  # Exif 2.32, 4.6.3 and 4.6.5
# Where EXIF's TIFF block stands: a file's first bytes, the mark before the block, how far before, the search's end.
_TIFF_PLACES = (
    (b"\xff\xd8", b"Exif\0\0", 6, 1 << 18),  # JPEG
    (b"\x89PNG", b"eXIf", 4, None),
    (b"RIFF", b"EXIF", 8, None),  # WebP
)
_ORIENTATION_TAG = 0x0112
# Quarter turns against the clock, and whether left and right change places after them.
_UPRIGHT = {2: (0, True), 3: (2, False), 4: (2, True), 5: (-1, True), 6: (-1, False), 7: (1, True), 8: (1, False)}
_ENTRY_BYTES = 12  # of a TIFF directory: tag, type, count, value
_LONG_TYPES = (4, 13)  # LONG and IFD, of 32 bits; what is read here is else SHORT, of 16
# EXIF's orientation of AVIF's quarter turns against the clock, without a mirror, with one that exchanges top and bottom
# (axis 0), and with one that exchanges left and right (axis 1); ISO/IEC 23008-12, 6.5.10 and 6.5.12.
_OF_TURNS = {None: (1, 8, 3, 6), 0: (4, 5, 2, 7), 1: (2, 7, 4, 5)}


def orientation_of(content: bytes) -> int:
    """Return EXIF's number, 1 (upright) to 8, for the bytes of a JPEG, PNG, WebP, TIFF or AVIF file; 1 for others."""
    if is_avif(content):
        return _avif_orientation(content)
    value = tiff_tags(_tiff_block(content)).get(_ORIENTATION_TAG, 1)
    return value if 1 <= value <= 8 else 1


def turned(image: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Turn a stored picture (H, W) or (H, W, C) upright; width and height change places for `SIDEWAYS`."""
    quarters, is_mirrored = _UPRIGHT.get(orientation, (0, False))
    image = np.rot90(image, quarters)
    return np.ascontiguousarray(image[:, ::-1] if is_mirrored else image)


def as_stored(image: NDArray[Pixel], orientation: int) -> NDArray[Pixel]:
    """Turn an upright picture as its file stores it, which `turned` undoes."""
    return turned(image, {6: 8, 8: 6}.get(orientation, orientation))  # the others undo themselves


def is_avif(content: bytes) -> bool:
    """Tell an AVIF file by its first bytes."""
    return content[4:12] in _AVIF_STARTS


def _avif_orientation(content: bytes) -> int:
    end = content.find(b"mdat")
    end = len(content) if end < 0 else end
    turns, axis = _box_value(content, b"irot", end), _box_value(content, b"imir", end)
    return _OF_TURNS[None if axis is None else axis & 1][(turns or 0) & 3]


def _box_value(content: bytes, kind: bytes, end: int) -> int | None:
    """Return the one byte of a box of 9 bytes, or None where there is no such box."""
    start = content.find(b"\0\0\0\x09" + kind, 0, end)
    return content[start + 8] if start >= 0 and start + 8 < len(content) else None


def _tiff_block(content: bytes) -> bytes:
    """Return the EXIF block of a JPEG, PNG or WebP file, or the content itself, which may be a TIFF file."""
    for start, mark, distance, end in _TIFF_PLACES:
        if content.startswith(start):
            found = content.find(mark, 0, end)
            return content[found + distance :].removeprefix(b"Exif\0\0") if found >= 0 else b""
    return content


def tiff_tags(block: bytes, directory: int | None = None) -> dict[int, int]:
    """Return the tags of a directory of a TIFF block, by default the first, each with its number (TIFF 6.0, section 2).

    What isn't one number stands elsewhere; then the first bytes of its address are the value.
    """
    if block[:4] not in (b"II*\0", b"MM\0*"):
        return {}

    def number(start: int, size: int) -> int:
        return int.from_bytes(block[start : start + size], "little" if block[:1] == b"I" else "big")

    directory = number(4, 4) if directory is None else directory
    entries = range(directory + 2, directory + 2 + number(directory, 2) * _ENTRY_BYTES, _ENTRY_BYTES)
    return {number(at, 2): number(at + 8, 4 if number(at + 2, 2) in _LONG_TYPES else 2) for at in entries}


def focal_35mm(content: bytes) -> int | None:
    """Return `FocalLengthIn35mmFilm` of the bytes of a JPEG, PNG or WebP file, in millimetres; None if it has none."""
    block = _tiff_block(content)
    pointer = tiff_tags(block).get(_EXIF_POINTER)
    return (tiff_tags(block, pointer).get(_FOCAL_35MM) or None) if pointer else None  # 0 says that it is unknown


def focal_px_of_35mm(focal_mm: float, height: int, width: int) -> float:
    """Return the focal length in pixels of a (height, width) photograph, held upright or not.

    The equivalence is by the diagonal of the frame (CIPA DCG-001), so it holds for any shape of sensor.
    """
    return focal_mm * math.hypot(height, width) / FILM_DIAGONAL_MM
