"""The only image pre- and post-processing of the project: training, parity checks, runtime and benchmarks call it.

OpenCV is imported on first use, so that importing the runtime costs numpy alone.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from .bits import eight_bits
from .opencv import import_cv2

if TYPE_CHECKING:
    from PIL.Image import Image as PillowImage  # what a caller may have; Pillow itself isn't needed

    from ..spec import ModelSpec

__all__ = [
    "ChannelOrder",
    "FrameBuffers",
    "ImageLike",
    "as_rgb",
    "check_frame",
    "halves_first",
    "preprocess",
    "resize_depth",
    "resize_rgb",
]

ChannelOrder = Literal["rgb", "bgr"]
ImageLike: TypeAlias = "NDArray[np.generic] | PillowImage | Path | str"


def check_frame(image: ImageLike, channel_order: ChannelOrder = "rgb") -> NDArray[np.uint8]:
    """Bring any camera array to uint8 (H, W, C), C 1, 3 or 4, without changing it; a view where it is uint8 already.

    Takes (H, W), (H, W, 1), (H, W, 3) or (H, W, 4), uint8 or uint16, read-only and non-contiguous arrays too. uint16 is
    cut to the upper 8 of the bits in use, as `bits.bits_in_use` says: cameras give 10, 12 or 14 bits in 16. For frames
    of one recording, of which some are dark, cut them first by one number of bits: `bits.eight_bits(frame, 12)`.
    The path of an image file is read as `decode.read_image` does; a PIL image is taken as it is, in RGB.

    Raises:
        LightDepthError: another rank, dtype (floats have no agreed range) or an empty image; "bgr" for no array.
    """
    if not isinstance(image, np.ndarray):
        image = _read_rgb(image, channel_order)
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] not in (1, 3, 4)) or image.size == 0:
        raise LightDepthError(
            f"An image must have shape (H, W), (H, W, 3) or (H, W, 4) with pixels in it, got {image.shape}."
        )
    if image.dtype.newbyteorder("=") == np.uint16:
        image = eight_bits(image.astype(np.uint16, copy=False))
    if image.dtype != np.uint8:
        raise LightDepthError(
            f"An image must be uint8 (0..255) or uint16 (0..65535), got {image.dtype}; scale and convert it first."
        )
    frame = image.astype(np.uint8, copy=False)
    return frame[:, :, None] if frame.ndim == 2 else frame


def _read_rgb(image: Any, channel_order: ChannelOrder) -> NDArray[np.generic]:  # Any: whatever the caller gave
    """Return the pixels of a file or a PIL image."""
    if not isinstance(image, str | Path) and not (hasattr(image, "mode") and hasattr(image, "convert")):
        raise LightDepthError(
            f"An image must be a numpy array, a PIL image or the path of a file, got {type(image).__name__}."
        )
    if channel_order != "rgb":
        raise LightDepthError(f"Files and PIL images are in RGB; channel_order={channel_order!r} is for arrays alone.")
    if isinstance(image, str | Path):
        from .decode import read_image  # here, since most callers have arrays

        return read_image(image)
    if image.mode.startswith("I"):  # whole numbers of 16 or 32 bits, which Pillow's own conversion cuts off at 255
        values = np.asarray(image)
        fits = ((values >= 0) & (values <= np.iinfo(np.uint16).max)).all()
        return values.astype(np.uint16) if fits else values
    return np.asarray(image if image.mode in ("L", "RGB", "RGBA", "F") else image.convert("RGB"))


def as_rgb(
    image: NDArray[np.generic], channel_order: ChannelOrder = "rgb", out: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8]:
    """Copy any array that `check_frame` takes as uint8 RGB (H, W, 3): grey is repeated, alpha dropped, BGR reversed.

    By OpenCV: numpy takes forty times longer to reverse or drop the channels of each pixel.

    Args:
        image: of any memory layout.
        channel_order: of the image.
        out: a C-contiguous array to write into.
    """
    frame, channel_order = _as_stored(check_frame(image), channel_order)
    is_rgb = _channels(frame, channel_order) == [0, 1, 2]
    if out is None:
        out = np.empty((*frame.shape[:2], 3), np.uint8)
    if is_rgb and frame.shape[2] == 3:
        np.copyto(out, frame)
        return out
    cv2 = import_cv2()
    four = cv2.COLOR_RGBA2RGB if is_rgb else cv2.COLOR_BGRA2RGB
    code = {1: cv2.COLOR_GRAY2RGB, 3: cv2.COLOR_BGR2RGB, 4: four}[frame.shape[2]]
    return cv2.cvtColor(_packed(frame), code, dst=out)


class FrameBuffers:
    """The arrays that `preprocess` reuses from frame to frame of one network size; not for two threads at once."""

    def __init__(self, height: int, width: int) -> None:
        self.plane = np.empty((height, width), np.uint8)
        self._resized: dict[int, NDArray[np.uint8]] = {}
        self._half = np.empty((0, 0, 3), np.uint8)

    def half(self, frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the array for a frame (H, W, C) at half its size; kept while frames are of one size."""
        shape = frame.shape[0] // 2, frame.shape[1] // 2, frame.shape[2]
        if self._half.shape != shape:
            self._half = np.empty(shape, np.uint8)
        return self._half

    def resized(self, channels: int) -> NDArray[np.uint8]:
        """Return the array for a resized frame: (height, width, channels), without the last axis for one channel."""
        if channels not in self._resized:
            shape = self.plane.shape if channels == 1 else (*self.plane.shape, channels)
            self._resized[channels] = np.empty(shape, np.uint8)
        return self._resized[channels]


def preprocess(
    image: NDArray[np.generic],
    spec: ModelSpec,
    out: NDArray[np.float32] | None = None,
    *,
    channel_order: ChannelOrder = "rgb",
    buffers: FrameBuffers | None = None,
    colors: NDArray[np.uint8] | None = None,
) -> NDArray[np.float32]:
    """Turn a frame into the network's float32 (3, input_height, input_width) input.

    The frame is stretched to the input size, each plane looked up in a table of `(value / 255 - mean) / std`. BGR costs
    nothing: its planes are taken in reverse.

    Args:
        image: what `check_frame` takes: uint8 (H, W, 3), grey, alpha, 16 bit.
        spec: gives size, mean and standard deviation.
        out: a C-contiguous float32 array of the result's shape to write into.
        channel_order: of the image.
        buffers: of the network's size, so that nothing of a frame's size is allocated.
        colors: uint8 (1, 256, 3), what each value of each of the image's channels becomes before it is normalised.

    Raises:
        LightDepthError: an array that is no image.
    """
    cv2 = import_cv2()
    frame = check_frame(image)
    if colors is None:
        frame, channel_order = _as_stored(frame, channel_order)
    size = spec.input_height, spec.input_width
    buffers = buffers or FrameBuffers(*size)
    resized = resize_rgb(frame, *size, out=buffers.resized(frame.shape[2]), half=buffers.half)
    if out is None:
        out = np.empty((3, *size), np.float32)
    tables = _normalisation_tables(spec.mean, spec.std)
    for plane, channel, table in zip(out, _channels(frame, channel_order), tables, strict=True):
        values = resized if resized.ndim == 2 else cv2.extractChannel(resized, channel, dst=buffers.plane)
        if colors is not None:
            table = table[colors[0, :, channel]]  # two look-ups in one
        cv2.LUT(values, table, dst=plane)  # (h, w) uint8 -> (h, w) float32, one table look-up a pixel
    return out


def resize_rgb(
    image: NDArray[np.uint8],
    height: int,
    width: int,
    out: NDArray[np.uint8] | None = None,
    half: Callable[[NDArray[np.uint8]], NDArray[np.uint8] | None] = lambda _: None,
) -> NDArray[np.uint8]:
    """Resize (h, w, C) to (height, width, C): area averaging when both sides shrink (no aliasing), else bilinear.

    Large images are halved first, into the array that `half` gives for them: 2x2 means cost little, fractional areas of
    all pixels three times as much. The border between two output pixels then weighs pairs of pixels alike, and halving
    rounds: up, by an eighth of a grey level on average.

    Returns the image itself where it has that size, and OpenCV's (height, width) for one channel that is resized.
    """
    cv2 = import_cv2()
    if image.shape[:2] == (height, width):
        return image
    if halves_first(image.shape[0], image.shape[1], height, width):
        size = image.shape[1] // 2, image.shape[0] // 2
        image = cv2.resize(_packed(image), size, dst=half(image), interpolation=cv2.INTER_AREA)
        image = image if image.ndim == 3 else image[:, :, None]
    shrinks = height <= image.shape[0] and width <= image.shape[1]
    interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return cv2.resize(_packed(image), (width, height), dst=out, interpolation=interpolation)


def resize_depth(depth_m: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Resize a dense prediction (h, w) in metres to (height, width) by bilinear interpolation.

    For predictions only: sensor depth has holes, which interpolation would mix into their neighbours.
    """
    cv2 = import_cv2()
    if depth_m.shape == (height, width):
        return depth_m
    return cv2.resize(depth_m, (width, height), interpolation=cv2.INTER_LINEAR)


def halves_first(rows: int, columns: int, height: int, width: int) -> bool:
    """Say whether 2x2 means come first where (rows, columns) is resized to (height, width).

    So it is where both sides are even and three times too large or more, but not by whole numbers.
    """
    is_whole = rows % height == 0 and columns % width == 0  # OpenCV is fast at these by itself
    return rows % 2 == columns % 2 == 0 and rows >= 3 * height and columns >= 3 * width and not is_whole


def _as_stored(frame: NDArray[np.uint8], channel_order: ChannelOrder) -> tuple[NDArray[np.uint8], ChannelOrder]:
    """Undo a view with reversed channels, `image[:, :, ::-1]`, which would be copied a byte at a time."""
    if frame.shape[2] != 3 or frame.strides[2] > 0 or channel_order not in ("rgb", "bgr"):
        return frame, channel_order
    return frame[:, :, ::-1], "bgr" if channel_order == "rgb" else "rgb"


def _packed(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Copy an image whose pixels don't lie side by side (mirrored, transposed); a window of a larger one may stay."""
    channels = image.shape[2]
    in_rows = image.strides[1:] == (channels, 1) and image.strides[0] >= image.shape[1] * channels
    return image if in_rows else np.ascontiguousarray(image)


def _channels(frame: NDArray[np.uint8], channel_order: ChannelOrder) -> list[int]:
    """Return which channels of (H, W, C) are red, green and blue."""
    if channel_order not in ("rgb", "bgr"):
        raise LightDepthError(f"channel_order is 'rgb' or 'bgr', got {channel_order!r}.")
    if frame.shape[2] == 1:
        return [0, 0, 0]
    return [0, 1, 2] if channel_order == "rgb" else [2, 1, 0]


@lru_cache(maxsize=8)
def _normalisation_tables(mean: tuple[float, ...], std: tuple[float, ...]) -> list[NDArray[np.float32]]:
    """Return, for each channel, the normalised value of each of the 256 pixel values: (256,) float32."""
    pixel = np.arange(256, dtype=np.float64) / 255
    return [((pixel - m) / s).astype(np.float32) for m, s in zip(mean, std, strict=True)]
