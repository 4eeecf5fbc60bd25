"""Augmentation that keeps depth true: image, depth and mask move together, and a zoom divides the depth."""

import math
from dataclasses import dataclass
from typing import TypeVar, cast

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.images.preprocess import preprocess, resize_rgb
from lightdepth_runtime.spec import ModelSpec

__all__ = ["Augmentation", "View", "draw_view", "without_border"]

Value = TypeVar("Value", bound=np.generic)


@dataclass(frozen=True)
class Augmentation:
    """Ranges of the random changes.

    Only `zoom_share` of the frames are zoomed. The others stay whole, as evaluation and cameras give them: with their
    field of view and, in NYU Depth V2, with the white border that a network that never saw it stumbles over. What was
    in-painted as the depth of such a border is not taught (`border`), and a zoomed view never shows it.
    """

    zoom_max: float = 1.5
    zoom_share: float = 0.5
    flip: bool = True
    color: float = 0.2  # gamma, brightness and each channel vary by up to this share
    border: float = 0.0  # share of height and width at each edge that is not taught
    roll_deg: float = 0.0  # largest turn of the zoomed views about the optical axis, either way


@dataclass(frozen=True)
class View:
    """One random look at a frame: its window, that window's zoom and roll, mirrored or not, in which colours."""

    top: int
    left: int
    height: int
    width: int
    zoom: float
    is_mirrored: bool
    color_table: NDArray[np.uint8] | None  # (1, 256, 3)
    roll_deg: float = 0.0  # of the window about its middle

    def network_input(
        self, image: NDArray[np.uint8], spec: ModelSpec, out: NDArray[np.float32] | None = None
    ) -> NDArray[np.float32]:
        """Return the view of an image (H, W, 3) as `preprocess` would; colours and normalisation are one look-up."""
        return preprocess(self._shape(image, spec.input_height, spec.input_width), spec, out, colors=self.color_table)

    def depth(self, depth_m: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
        """Return the view of measured depth (H, W) at (height, width), 0 where there is no reading.

        Depth is resampled to the nearest reading: interpolation would invent depths at edges and holes. "Exact" takes
        the middle of each block, where the image's pixel stands; OpenCV's plain nearest takes its corner, half an
        output pixel beside it.
        """
        cv2 = import_cv2()
        if self.roll_deg:
            turn, flags = self._to_source(height, width), cv2.INTER_NEAREST | cv2.WARP_INVERSE_MAP
            resized = cv2.warpAffine(depth_m, turn, (width, height), flags=flags)
        else:
            window = np.ascontiguousarray(depth_m[self._window()])
            resized = cv2.resize(window, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        if self.zoom != 1:
            resized /= np.float32(self.zoom)
        return self._mirror(resized)

    def dense_depth(
        self, depth_m: NDArray[np.float32], frame_height: int, frame_width: int, height: int, width: int
    ) -> NDArray[np.float32]:
        """Return the view of depth (h, w) without holes that shows a whole frame (H, W) at another resolution."""
        cv2 = import_cv2()
        scale = depth_m.shape[1] / frame_width, depth_m.shape[0] / frame_height  # map's pixels a frame's pixel
        to_source = self._to_source(height, width, scale)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(depth_m, to_source, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return self._mirror(seen.astype(np.float32, copy=False) / np.float32(self.zoom))

    def _window(self) -> tuple[slice, slice]:
        return np.s_[self.top : self.top + self.height, self.left : self.left + self.width]

    def _to_source(
        self, height: int, width: int, scale: tuple[float, float] = (1, 1), origin: tuple[float, float] = (0, 0)
    ) -> NDArray[np.float64]:
        """Return the affine map (2, 3) from pixels of the view at (height, width), unmirrored, to pixels of the source.

        The source is the frame, or a part of it from `origin` (x, y) on, with `scale` (x, y) pixels a frame's pixel.
        """
        angle = math.radians(self.roll_deg)
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        step = np.array([self.width / width, self.height / height])  # of the frame, for one pixel of the view
        size, corner = np.array([self.width, self.height]), np.array([self.left, self.top])
        linear = turn * step
        # The window turns about its middle, and centres of pixels fall on centres.
        shift = corner + size / 2 - turn @ (size / 2) + linear @ np.array([0.5, 0.5]) - origin
        factor = np.array(scale)
        return np.column_stack([factor[:, None] * linear, factor * shift - 0.5])

    def _shape(self, image: NDArray[np.uint8], height: int, width: int) -> NDArray[np.uint8]:
        """Crop, enlarge, turn and mirror, colours left as they are."""
        if not self.roll_deg:
            return self._mirror(resize_rgb(image[self._window()], height, width))
        cv2 = import_cv2()
        rows, columns = _upright(self.height, self.width, self.roll_deg)
        top = max(0, math.floor(self.top + (self.height - rows) / 2))
        left = max(0, math.floor(self.left + (self.width - columns) / 2))
        part = image[top : top + math.ceil(rows) + 1, left : left + math.ceil(columns) + 1]
        # To the view's resolution first, by averages: an affine map alone would leave pixels out.
        small_height = max(1, round(part.shape[0] * (height / self.height)))
        small_width = max(1, round(part.shape[1] * (width / self.width)))
        small = resize_rgb(part, small_height, small_width)
        scale = small_width / part.shape[1], small_height / part.shape[0]
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        to_source = self._to_source(height, width, scale, (left, top))
        turned = cv2.warpAffine(small, to_source, (width, height), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        return self._mirror(np.asarray(turned, np.uint8))

    def _mirror(self, array: NDArray[Value]) -> NDArray[Value]:
        # OpenCV's flip: numpy copies a mirrored image pixel by pixel, ten times slower.
        return cast(NDArray[Value], import_cv2().flip(array, 1)) if self.is_mirrored else np.ascontiguousarray(array)


def draw_view(height: int, width: int, settings: Augmentation, rng: np.random.Generator) -> View:
    """Draw a random view of a (height, width) frame.

    A crop that is enlarged z times looks as a camera of the same focal length would see the scene at depth / z, so the
    depth is divided by z.
    """
    top, left, crop_height, crop_width, roll_deg = _random_window(height, width, settings, rng)
    is_mirrored = settings.flip and rng.random() < 0.5
    table = _color_table(settings.color, rng) if settings.color > 0 else None
    return View(top, left, crop_height, crop_width, width / crop_width, is_mirrored, table, roll_deg)


def without_border(depth_m: NDArray[np.float32], share: float) -> NDArray[np.float32]:
    """Return depth (H, W) with no reading in `share` of height and width at each edge; the array itself for 0."""
    if share == 0:
        return depth_m
    rows, columns = (math.ceil(share * size) for size in depth_m.shape)
    inner = np.zeros_like(depth_m)
    inner[rows:-rows, columns:-columns] = depth_m[rows:-rows, columns:-columns]
    return inner


def _random_window(
    height: int, width: int, settings: Augmentation, rng: np.random.Generator
) -> tuple[int, int, int, int, float]:
    """Choose top, left, height, width and roll of a crop with the frame's aspect ratio, or the whole frame."""
    if rng.random() >= settings.zoom_share:
        return 0, 0, height, width, 0.0
    rows, columns = (math.ceil(settings.border * size) for size in (height, width))
    roll_deg = rng.uniform(-settings.roll_deg, settings.roll_deg) if settings.roll_deg else 0.0
    needed_height, needed_width = _upright(height, width, roll_deg)
    least = max(needed_height / (height - 2 * rows), needed_width / (width - 2 * columns))  # 1 without border and roll
    zoom = np.exp(rng.uniform(np.log(least), np.log(max(least, settings.zoom_max))))
    crop_height, crop_width = max(1, int(height / zoom)), max(1, int(width / zoom))
    box_height, box_width = (math.ceil(size) for size in _upright(crop_height, crop_width, roll_deg))
    top = rows + int(rng.integers(max(1, height - 2 * rows - box_height + 1))) + (box_height - crop_height) // 2
    left = columns + int(rng.integers(max(1, width - 2 * columns - box_width + 1))) + (box_width - crop_width) // 2
    return top, left, crop_height, crop_width, roll_deg


def _upright(height: float, width: float, roll_deg: float) -> tuple[float, float]:
    """Return height and width of the upright box around a (height, width) window that is turned about its middle."""
    sine, cosine = abs(math.sin(math.radians(roll_deg))), math.cos(math.radians(roll_deg))
    return height * cosine + width * sine, width * cosine + height * sine


def _color_table(strength: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Vary gamma, brightness and the channels' balance: one look-up table a channel, (1, 256, 3)."""
    gamma, brightness = rng.uniform(1 - strength, 1 + strength, size=2)
    balance = rng.uniform(1 - strength / 2, 1 + strength / 2, size=3)
    curve = (np.arange(256) / 255) ** gamma * brightness * 255  # (256,)
    return np.clip(np.rint(curve[:, None] * balance), 0, 255).astype(np.uint8)[None]
