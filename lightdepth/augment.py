"""Augmentation that keeps depth true: image, depth and mask move together, and a zoom divides the depth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.images import resize_rgb
from lightdepth_runtime.opencv import import_cv2
from lightdepth_runtime.pairs import FrameData

__all__ = ["Augmentation", "augment"]


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes.

    Only `zoom_share` of the frames are zoomed. The others stay whole, as evaluation and cameras give them: with their
    field of view and, in NYU Depth V2, with the white border that a network that never saw it stumbles over.
    """

    zoom_max: float = 1.5
    zoom_share: float = 0.5
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
    top, left, crop_height, crop_width = _random_window(frame.image.shape[0], frame.image.shape[1], settings, rng)
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


def _random_window(
    height: int, width: int, settings: Augmentation, rng: np.random.Generator
) -> tuple[int, int, int, int]:
    """Choose top, left, height and width of a crop with the frame's aspect ratio, or the whole frame."""
    zoom = np.exp(rng.uniform(0, np.log(settings.zoom_max))) if rng.random() < settings.zoom_share else 1.0
    crop_height, crop_width = max(1, int(height / zoom)), max(1, int(width / zoom))
    top, left = int(rng.integers(height - crop_height + 1)), int(rng.integers(width - crop_width + 1))
    return top, left, crop_height, crop_width


def _vary_color(image: NDArray[np.uint8], strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary gamma, brightness and the channels' balance by one look-up table a channel: (H, W, 3) -> (H, W, 3)."""
    cv2 = import_cv2()
    gamma, brightness = rng.uniform(1 - strength, 1 + strength, size=2)
    balance = rng.uniform(1 - strength / 2, 1 + strength / 2, size=3)
    curve = (np.arange(256) / 255) ** gamma * brightness * 255  # (256,)
    table = np.clip(np.rint(curve[:, None] * balance), 0, 255).astype(np.uint8)[None]  # (1, 256, 3)
    return cv2.LUT(image, table)
