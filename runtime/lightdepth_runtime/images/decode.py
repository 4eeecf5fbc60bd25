"""Image files to arrays. Damaged files are found first: OpenCV fills a missing part with grey and says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from .bits import bits_in_use, declared_bits, eight_bits
from .complete import completed
from .exif import is_avif, orientation_of, tiff_tags, turned
from .opencv import import_cv2, quiet_cv2

__all__ = ["HEIC_BRANDS", "IMAGE_SUFFIXES", "decode_image", "decode_rgb", "other_format", "read_bytes", "read_image"]

# What OpenCV reads as a picture; its float formats (.hdr, .exr, .pfm) have no agreed white.
IMAGE_SUFFIXES = frozenset({
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".dib", ".tif", ".tiff", ".webp", ".avif", ".gif", ".jp2",
    ".ppm", ".pgm", ".pbm", ".pnm", ".sr", ".ras",
})  # fmt: skip
# Brands of ISO's base media format at byte 8 (ISO/IEC 23008-12, annex B).
HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"}
_CONVERT_HEIC = (
    'convert it to JPEG first, with heif-convert, or choose "Most Compatible" in an iPhone\'s camera settings'
)

_TIFF_FORMAT, _TIFF_FLOATS = 0x0153, 3  # SampleFormat (TIFF 6.0, section 19)
_NO_RANGE = (
    "whose range of brightness nothing tells; a picture has 8 or 16 bits a channel. Convert it to PNG, or leave it out "
    "if it is depth"
)


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image file as uint8 RGB (H, W, 3), turned upright by its EXIF orientation or AVIF's own rotation.

    Grey is repeated to three channels, alpha is dropped, palettes and CMYK become RGB; only the first frame of an
    animation is used. 16-bit pixels are cut to the upper 8 of the bits in use, as `bits.bits_in_use` says. What the
    file holds decides, not its suffix. JPEG, WebP, BMP and TIFF carry no checksum: of those, a file of full length
    whose pixels were altered can't be told from a good one.

    Raises:
        LightDepthError: missing, empty, truncated, of a wrong checksum (PNG), not an image, or over 2^30 pixels.
    """
    path = Path(path)
    return decode_rgb(read_bytes(path), path)


def decode_rgb(content: bytes, path: Path | str, least: int = 8) -> NDArray[np.uint8]:
    """Decode the bytes of an image file as `read_image` does.

    Args:
        content: of the file.
        path: names it in errors.
        least: as `bits_in_use` takes it.
    """
    cv2 = import_cv2()
    content = completed(content, path)
    image = decode_image(content, path, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if image.dtype == np.uint16:
        values = image.astype(np.uint16, copy=False)
        image = eight_bits(values, bits_in_use(values, least, declared_bits(content)))
    if image.dtype != np.uint8:
        raise LightDepthError(f"{path} holds {image.dtype} values, {_NO_RANGE}.")
    if is_avif(content):
        image = turned(image, orientation_of(content))
    return cv2.cvtColor(image.astype(np.uint8, copy=False), cv2.COLOR_BGR2RGB)


def decode_image(content: bytes, path: Path | str, flags: int) -> NDArray[np.generic]:
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
        known = other_format(content)
        if known:
            raise LightDepthError(f"{path} is {known}.")
        raise LightDepthError(
            f"{path} can't be decoded as an image ({len(content)} bytes). Replace the file or leave it out."
        )
    return image


def other_format(content: bytes) -> str | None:
    """Name the format of a file that OpenCV can't read, with what to do, from its first bytes; None for any other."""
    if content[4:8] == b"ftyp" and content[8:12] in HEIC_BRANDS:
        return f"HEIC, which OpenCV can't read; {_CONVERT_HEIC}"
    if is_avif(content):
        return "AVIF, which this build of OpenCV can't read; convert it to JPEG or PNG first"
    if content.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL ")):
        return "JPEG XL, which OpenCV can't read; convert it to JPEG or PNG first"
    if tiff_tags(content).get(_TIFF_FORMAT) == _TIFF_FLOATS:
        return f"a TIFF of floats, {_NO_RANGE}"
    if content.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer and not the picture itself; fetch it with `git lfs pull`"
    return None


def read_bytes(path: Path) -> bytes:
    """Read a file whole; a missing or empty one is a clear error."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LightDepthError(f"Can't read {path}: {error.strerror or error}.") from error
    if not content:
        raise LightDepthError(f"{path} is empty (0 bytes). Replace the file or leave it out.")
    return content
