"""Augmentation that keeps depth true: image, depth and mask move together, and a zoom divides the depth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.images import import_cv2, resize_rgb
from lightdepth_runtime.pairs import FrameData

__all__ = ["Augmentation", "augment"]

BORDER_SHARE = 1 / 60  # NYU's white frame is 6-8 px of 480; 8 px are cropped at 640x480


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes; `zoom_max` 1.0 still crops the white border."""

    zoom_max: float = 1.5
    flip: bool = True
    color: float = 0.2  # gamma, brightness and each channel vary by up to this share


def augment(frame: FrameData, height: int, width: int, settings: Augmentation, rng: np.random.Generator) -> FrameData:
    """Crop, zoom, flip and colour one pair at random, and resize it to (height, width).

    A crop that is enlarged z times looks as a camera of the same focal length would see the scene at depth / z, so the
    depth is divided by z. Depth is resampled to the nearest reading: interpolation would invent depths at edges and
    holes. "Exact" takes the middle of each block, where the image's pixel stands; OpenCV's plain nearest takes its
    corner, half an output pixel beside it.
    """
    cv2 = import_cv2()
    top, left, crop_height, crop_width = _random_window(
        frame.image.shape[0], frame.image.shape[1], settings.zoom_max, rng
    )
    zoom = frame.image.shape[1] / crop_width
    window = np.s_[top : top + crop_height, left : left + crop_width]
    image = resize_rgb(frame.image[window], height, width)
    depth_m = cv2.resize(
        np.ascontiguousarray(frame.depth_m[window]), (width, height), interpolation=cv2.INTER_NEAREST_EXACT
    ) / np.float32(zoom)
    if settings.flip and rng.random() < 0.5:
        image, depth_m = image[:, ::-1], depth_m[:, ::-1]
    if settings.color > 0:
        image = _vary_color(np.ascontiguousarray(image), settings.color, rng)
    return FrameData(np.ascontiguousarray(image), np.ascontiguousarray(depth_m))


def _random_window(height: int, width: int, zoom_max: float, rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Choose top, left, height and width of a crop with the frame's aspect ratio, clear of the border."""
    border = round(height * BORDER_SHARE)
    smallest_zoom = height / (height - 2 * border)
    zoom = np.exp(rng.uniform(np.log(smallest_zoom), np.log(max(zoom_max, smallest_zoom))))
    crop_height, crop_width = max(1, int(height / zoom)), max(1, int(width / zoom))
    top = int(rng.integers(border, max(border, height - border - crop_height) + 1))
    left = int(rng.integers(border, max(border, width - border - crop_width) + 1))
    return top, left, crop_height, crop_width


def _vary_color(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary gamma, brightness and the channels' balance by one look-up table a channel: (H, W, 3) -> (H, W, 3)."""
    cv2 = import_cv2()
    gamma, brightness = rng.uniform(1 - strength, 1 + strength, size=2)
    balance = rng.uniform(1 - strength / 2, 1 + strength / 2, size=3)
    curve = (np.arange(256) / 255) ** gamma * brightness * 255  # (256,)
    table = np.clip(np.rint(curve[:, None] * balance), 0, 255).astype(np.uint8)[None]  # (1, 256, 3)
    return cv2.LUT(image, table)
