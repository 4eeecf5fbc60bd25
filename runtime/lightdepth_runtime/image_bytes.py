"""Find damaged image files before decoding: OpenCV fills a missing part with grey and says nothing."""

import zlib
from pathlib import Path

from .errors import LightDepthError

__all__ = ["check_complete"]

_JPEG_START, _PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE = 0xD9
_STANDALONE = {0x01, *range(0xD0, 0xD9)}  # markers without a length: TEM, RST0-7, SOI


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
