"""Image files to arrays. Damaged files are found first: OpenCV fills a missing part with grey and says nothing."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from .opencv import import_cv2, quiet_cv2

__all__ = ["IMAGE_SUFFIXES", "check_complete", "decode_image", "read_bytes", "read_image"]

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})

_JPEG_START, _PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE = 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0-7, SOI


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image file as uint8 RGB (H, W, 3), turned upright by its EXIF orientation.

    Grey is repeated to three channels, alpha is dropped, 16 bits are cut to their upper 8, palettes and CMYK become
    RGB, of an animation the first frame counts. What the file holds decides, not its suffix. JPEG, WebP, BMP and TIFF
    carry no checksum: of those, a file of full length whose pixels were altered can't be told from a good one.

    Raises:
        LightDepthError: missing, empty, truncated, of a wrong checksum (PNG), not an image, or over 2^30 pixels.
    """
    cv2 = import_cv2()
    path = Path(path)
    content = read_bytes(path)
    check_complete(content, path)
    image = decode_image(content, path, cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def decode_image(content: bytes, path: Path, flags: int) -> NDArray[np.generic]:
    """Decode with OpenCV's IMREAD `flags`, keeping its log lines out: the error says it.

    Raises:
        LightDepthError: not an image, damaged, or larger than OpenCV decodes.
    """
    cv2 = import_cv2()
    try:
        with quiet_cv2():
            image = cv2.imdecode(np.frombuffer(content, np.uint8), flags)
    except cv2.error as error:
        raise LightDepthError(
            f"{path} can't be decoded as an image (OpenCV refuses it: {error.err}). Make it smaller or leave it out."
        ) from error
    if image is None:
        raise LightDepthError(
            f"{path} can't be decoded as an image ({len(content)} bytes). Replace the file or leave it out."
        )
    return image


def read_bytes(path: Path) -> bytes:
    """Read a file whole; a missing or empty one is a clear error."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LightDepthError(f"Can't read {path}: {error.strerror or error}.") from error
    if not content:
        raise LightDepthError(f"{path} is empty (0 bytes). Replace the file or leave it out.")
    return content


def check_complete(content: bytes, path: Path) -> None:
    """Check that a JPEG reaches its end marker, and a PNG its IEND chunk with every checksum right; others pass.

    Raises:
        LightDepthError: the file is truncated, or a PNG's checksum is wrong.
    """
    if content.startswith(_JPEG_START):
        complete = _jpeg_is_complete(content)
    elif content.startswith(_PNG_START):
        complete = _png_is_complete(content, path)
    else:
        return
    if not complete:
        raise LightDepthError(
            f"{path} is truncated ({len(content)} bytes, its end marker is missing). "
            "Copy the file again or leave it out."
        )


def _jpeg_is_complete(content: bytes) -> bool:
    """Walk the segments (ITU T.81, annex B), so that a thumbnail's end marker is not taken for the image's."""
    position = 2
    while True:
        position = content.find(b"\xff", position)
        if position < 0 or position + 1 >= len(content):
            return False
        marker = content[position + 1]
        if marker == _END_OF_IMAGE:
            return True
        if marker in (0x00, 0xFF) or marker in _STANDALONE:  # a stuffed or fill byte, or a marker alone
            position += 1 if marker == 0xFF else 2
            continue
        # Every other marker, start of scan included, has a length; coded data follows a scan's header.
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")


def _png_is_complete(content: bytes, path: Path) -> bool:
    """Walk the chunks: 4 bytes length, 4 bytes type, data, CRC-32 of type and data (ISO/IEC 15948, section 5)."""
    view = memoryview(content)
    position = len(_PNG_START)
    needed = {b"IHDR", b"IDAT"}  # a bit can turn their names into those of chunks that a reader may skip
    while position + 8 <= len(content):
        kind = content[position + 4 : position + 8]
        end = position + 12 + int.from_bytes(content[position : position + 4], "big")
        if end > len(content):
            return False
        critical = not kind[0] & 0x20  # an upper-case first letter; a reader may ignore damage elsewhere
        if critical and zlib.crc32(view[position + 4 : end - 4]) != int.from_bytes(content[end - 4 : end], "big"):
            name = kind.decode("ascii", "replace")
            raise LightDepthError(
                f"{path} is corrupt: the checksum of its {name} chunk is wrong. Copy the file again or leave it out."
            )
        needed.discard(kind)
        if kind == b"IEND":
            if needed:
                name = min(needed).decode("ascii")
                raise LightDepthError(
                    f"{path} is corrupt: it has no {name} chunk. Copy the file again or leave it out."
                )
            return True
        position = end
    return False
