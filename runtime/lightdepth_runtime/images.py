"""The only image pre- and post-processing of the project: training, parity checks, runtime and benchmarks call it.

OpenCV is imported on first use, so that importing the runtime costs numpy alone.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError
from .image_bytes import check_complete

if TYPE_CHECKING:
    from types import ModuleType

    from .spec import ModelSpec

__all__ = [
    "IMAGE_SUFFIXES",
    "ChannelOrder",
    "as_rgb",
    "import_cv2",
    "preprocess",
    "read_image",
    "resize_depth",
    "resize_rgb",
]

ChannelOrder = Literal["rgb", "bgr"]
IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp"})


@lru_cache(maxsize=1)
def import_cv2() -> ModuleType:
    """Import OpenCV, or say which extra brings it."""
    try:
        import cv2
    except ImportError as error:
        raise LightDepthError('OpenCV is missing; install it with: pip install "lightdepth-runtime[cpu]"') from error
    return cv2


def read_image(path: Path | str) -> NDArray[np.uint8]:
    """Read an image file as uint8 RGB (H, W, 3), turned upright by its EXIF orientation.

    Grey is repeated to three channels, alpha is dropped, 16 bits are cut to their upper 8, CMYK becomes RGB.

    Raises:
        LightDepthError: missing, empty, truncated or not an image.
    """
    cv2 = import_cv2()
    path = Path(path)
    content = read_bytes(path)
    check_complete(content, path)
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    if image is None:
        raise LightDepthError(
            f"{path} can't be decoded as an image ({len(content)} bytes). Replace the file or leave it out."
        )
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def read_bytes(path: Path) -> bytes:
    """Read a file whole; a missing or empty one is a clear error."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise LightDepthError(f"Can't read {path}: {error.strerror or error}.") from error
    if not content:
        raise LightDepthError(f"{path} is empty (0 bytes). Replace the file or leave it out.")
    return content


def as_rgb(image: NDArray[np.generic], channel_order: ChannelOrder = "rgb") -> NDArray[np.uint8]:
    """Bring any camera array to uint8 RGB (H, W, 3) without changing the caller's array.

    Takes (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16. Grey is repeated, alpha dropped, uint16 divided by 257.

    Raises:
        LightDepthError: another rank, dtype (floats have no agreed range) or an empty image.
    """
    if not isinstance(image, np.ndarray):
        raise LightDepthError(
            f"An image must be a numpy array, got {type(image).__name__}; convert it with numpy.asarray."
        )
    if image.ndim == 2:
        image = image[:, :, None]
    if image.ndim != 3 or image.shape[2] not in (1, 3, 4) or image.size == 0:
        raise LightDepthError(f"An image must have shape (H, W), (H, W, 3) or (H, W, 4), got {image.shape}.")
    if image.dtype == np.uint16:
        image = (image // 257).astype(np.uint8)
    if image.dtype != np.uint8:
        raise LightDepthError(
            f"An image must be uint8 (0..255) or uint16 (0..65535), got {image.dtype}; scale and convert it first."
        )
    if image.shape[2] == 1:
        return np.repeat(image, 3, axis=2)
    image = image[:, :, :3]
    return image[:, :, ::-1] if channel_order == "bgr" else image


def preprocess(
    image: NDArray[np.uint8], spec: ModelSpec, out: NDArray[np.float32] | None = None
) -> NDArray[np.float32]:
    """Turn a uint8 RGB (H, W, 3) frame into the network's float32 (3, input_height, input_width) input.

    Args:
        image: what `as_rgb` or `read_image` returns.
        spec: gives size, mean and standard deviation.
        out: a C-contiguous float32 array of the result's shape to write into.
    """
    cv2 = import_cv2()
    resized = resize_rgb(image, spec.input_height, spec.input_width)
    if out is None:
        out = np.empty((3, spec.input_height, spec.input_width), np.float32)
    for plane, channel, table in zip(out, cv2.split(resized), _normalisation_tables(spec.mean, spec.std), strict=True):
        cv2.LUT(channel, table, dst=plane)  # (H, W) uint8 -> (H, W) float32, one table look-up a pixel
    return out


def resize_rgb(image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
    """Resize (h, w, 3) to (height, width, 3): area averaging when both sides shrink (no aliasing), else bilinear."""
    cv2 = import_cv2()
    if image.shape[:2] == (height, width):
        return image
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    return cv2.resize(
        np.ascontiguousarray(image), (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    )


def resize_depth(depth_m: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize a dense prediction (h, w) in metres to (height, width) by bilinear interpolation.

    For predictions only: sensor depth has holes, which interpolation would mix into their neighbours.
    """
    cv2 = import_cv2()
    if depth_m.shape == (height, width):
        return depth_m
    return cv2.resize(depth_m, (width, height), interpolation=cv2.INTER_LINEAR)


@lru_cache(maxsize=8)
def _normalisation_tables(mean: tuple[float, ...], std: tuple[float, ...]) -> list[NDArray[np.float32]]:
    """Return, for each channel, the normalised value of each of the 256 pixel values: (256,) float32."""
    pixel = np.arange(256, dtype=np.float64) / 255
    return [((pixel - m) / s).astype(np.float32) for m, s in zip(mean, std, strict=True)]
