"""Whether the bytes of an image file are all there: OpenCV fills a missing part with grey and says nothing."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np

from ..errors import LightDepthError
from .opencv import import_cv2, quiet_cv2, quiet_stderr

__all__ = ["completed"]

_JPEG_START, _PNG_START = b"\xff\xd8", b"\x89PNG\r\n\x1a\n"
_END_OF_IMAGE, _PROGRESSIVE = 0xD9, 0xC2
_RESTARTS = range(0xD0, 0xD8)  # RST0-7, counted round and round
_STANDALONE = {0x01, 0xD8, *_RESTARTS}  # markers without a length: TEM, SOI, RST
_JPEG_END = b"\xff\xd9"
_MORE = (b"\x55" * 64, b"\xaa" * 64)  # what a decoder takes for more of the picture, if it misses some


def completed(content: bytes, path: Path | str) -> bytes:
    """Return the bytes of an image, checked: a JPEG reaches its end marker, a PNG its IEND chunk with right checksums.

    A JPEG that lacks nothing but the two bytes of its end marker gets them; webcams and small controllers leave them
    out. Other formats pass as they are.

    Raises:
        LightDepthError: the file is truncated, or a PNG's checksum is wrong.
    """
    if content.startswith(_JPEG_START):
        if _jpeg_markers(content)[-1:] == [_END_OF_IMAGE]:
            return content
        body = content[:-1] if content.endswith(b"\xff") else content
        if _lacks_only_its_end(body):
            return body + _JPEG_END
    elif not content.startswith(_PNG_START) or _png_is_complete(content, path):
        return content
    raise LightDepthError(
        f"{path} is truncated ({len(content)} bytes, its end marker is missing). Copy the file again or leave it out."
    )


def _jpeg_markers(content: bytes) -> list[int]:
    """Return the markers up to the end marker, or to the end of the bytes.

    The segments are walked (ITU T.81, annex B), so that a thumbnail's end marker is not taken for the image's.
    """
    markers: list[int] = []
    position = 2
    while True:
        position = content.find(b"\xff", position)
        if position < 0 or position + 1 >= len(content):
            return markers
        marker = content[position + 1]
        if marker == _END_OF_IMAGE:
            return [*markers, marker]
        if marker in (0x00, 0xFF):  # a stuffed or a fill byte
            position += 1 if marker == 0xFF else 2
            continue
        markers.append(marker)
        if marker in _STANDALONE:
            position += 2
            continue
        # Every other marker, start of scan included, has a length; coded data follows a scan's header.
        position += 2 + int.from_bytes(content[position + 2 : position + 4], "big")


def _lacks_only_its_end(body: bytes) -> bool:
    """Tell whether a JPEG without its end marker holds the whole picture: then more data after it change no pixel.

    A progressive one may lack whole scans, which nothing would show, so it never counts as whole.
    """
    markers = _jpeg_markers(body)
    if _PROGRESSIVE in markers:
        return False
    # Where a restart marker is due, a decoder reads on at that one alone.
    restarts = [marker for marker in markers if marker in _RESTARTS]
    due = _RESTARTS[(_RESTARTS.index(restarts[-1]) + 1) % len(_RESTARTS) if restarts else 0]
    tails = (b"", *_MORE, bytes((0xFF, due)) + _MORE[0])
    cv2 = import_cv2()
    with quiet_cv2(), quiet_stderr():
        pictures = [
            cv2.imdecode(np.frombuffer(body + tail + _JPEG_END, np.uint8), cv2.IMREAD_UNCHANGED) for tail in tails
        ]
    first = pictures[0]
    return first is not None and all(other is not None and np.array_equal(first, other) for other in pictures[1:])


def _png_is_complete(content: bytes, path: Path | str) -> bool:
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
