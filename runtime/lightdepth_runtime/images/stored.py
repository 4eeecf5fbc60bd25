"""What a picture file is, by its first bytes alone: enough to sort the files of a folder without decoding them."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from .bits import pnm_header
from .decode import HEIC_BRANDS
from .exif import is_avif, tiff_tags

__all__ = ["is_depth_picture", "is_heic", "media_kind"]

_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_BITS, _PNG_COLOR = 24, 25  # where IHDR's bit depth and colour type stand; type 0 is grey
_TIFF_BITS, _TIFF_SAMPLES = 0x0102, 0x0115  # BitsPerSample and SamplesPerPixel (TIFF 6.0, section 8)
_TIFF_STARTS = (b"II*\0", b"MM\0*")
_JP2_START = b"\0\0\0\x0cjP  "
_PICTURE_STARTS = (b"\xff\xd8\xff", _PNG_START, b"GIF8", *_TIFF_STARTS, _JP2_START)
_VIDEO_STARTS = (b"\x1aE\xdf\xa3", b"0&\xb2u\x8ef\xcf\x11", b"\0\0\1\xba")  # Matroska and WebM, ASF, MPEG-PS
_START_BYTES = 1024  # a PGM may have comments before its size


def is_depth_picture(path: Path) -> bool:
    """Tell a PNG, TIFF, PGM or JPEG 2000 of one channel with more than 8 bits; a file that can't be read is none."""
    start = _start_of(path)
    if start.startswith(_PNG_START):
        return len(start) > _PNG_COLOR and start[_PNG_BITS] == 16 and start[_PNG_COLOR] == 0
    if start.startswith(_TIFF_STARTS):
        tags = tiff_tags(start)
        return tags.get(_TIFF_SAMPLES, 1) == 1 and tags.get(_TIFF_BITS, 1) > 8
    if start.startswith(_JP2_START):
        header = start.find(b"ihdr") + 4  # of NC in two bytes, and bits - 1 (ISO/IEC 15444-1, I.5.3.1)
        return start[header + 8 : header + 10] == b"\0\1" and start[header + 10] & 0x7F > 7
    if start.startswith((b"P5", b"P2")):
        return pnm_header(start)[2:] > [255]
    return False


def is_heic(path: Path) -> bool:
    """Tell a HEIC file by its brand, since some phones give JPEG files its suffix; one that can't be read is none."""
    return _has_heic_brand(_start_of(path))


def media_kind(start: bytes) -> Literal["picture", "video"] | None:
    """Tell a picture or a video file by its first bytes; None for others, and for MPEG-TS, which may have no end."""
    if start.startswith(_PICTURE_STARTS) or is_avif(start) or _has_heic_brand(start) or start[8:12] == b"WEBP":
        return "picture"
    is_video = start.startswith(_VIDEO_STARTS) or start[4:8] == b"ftyp" or start[8:12] == b"AVI "
    return "video" if is_video else None


def _has_heic_brand(start: bytes) -> bool:
    return start[4:8] == b"ftyp" and start[8:12] in HEIC_BRANDS


def _start_of(path: Path) -> bytes:
    """Return a file's first bytes, of a TIFF all, since its directory may stand at the end; b"" if unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(_START_BYTES)
            return start + file.read() if start.startswith(_TIFF_STARTS) else start
    except OSError:
        return b""
