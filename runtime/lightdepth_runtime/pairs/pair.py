"""What every packaging yields: a named pair that reads itself in metres."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.preprocess import resize_rgb
from ..spec import Intrinsics

__all__ = [
    "UNDIVIDED",
    "FrameData",
    "Pair",
    "PairSet",
    "check_camera",
    "common_camera",
    "fit_color",
    "indices_by_scene",
    "scenes_of",
    "spread_indices",
]

UNDIVIDED = "all"  # the split of data that has none
# A share of the aspect ratio. ScanNet's 1296x968 and 640x480 differ by 0.4 %; a RealSense's unregistered 1280x720 and
# 848x480 by 0.6 %.
SAME_SHAPE = 0.005


@dataclass(frozen=True)
class FrameData:
    """One decoded pair of equal size: uint8 RGB (H, W, 3) and float32 (H, W) metres, 0 where there is no reading."""

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]


class Pair(Protocol):
    """A colour image and its depth, not yet read."""

    @property
    def name(self) -> str:
        """Name it in reports and errors."""
        ...

    @property
    def scene(self) -> str:
        """Name the place it was recorded in, so that validation can hold out whole places."""
        ...

    @property
    def depth_unit(self) -> str | None:
        """Name the unit that its depth was declared to be in, or None where the file's type decides."""
        ...

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Return its camera, for an image of the camera's size; None if unknown."""
        ...

    def read(self) -> FrameData:
        """Decode both files; a damaged or mismatched one is a LightDepthError that names it."""
        ...


@dataclass(frozen=True)
class PairSet:
    """The pairs of one split; `intrinsics` is the camera of all of them, if there is one, and `notes` what to know."""

    packaging: str
    root: Path
    split: str
    pairs: Sequence[Pair]
    intrinsics: Intrinsics | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.pairs)

    @property
    def name(self) -> str:
        """Name the recordings by their folder."""
        return self.root.resolve().name

    def subset(self, indices: Sequence[int], split: str) -> "PairSet":
        """Return the pairs at `indices` as a split of another name."""
        return replace(self, pairs=[self.pairs[i] for i in indices], split=split)

    def spread(self, most: int) -> "PairSet":
        """Return at most `most` pairs, evenly spread from the first to the last."""
        return self.subset(spread_indices(len(self), most), self.split)


def fit_color(image: NDArray[np.uint8], depth: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
    """Bring colour (h, w, 3) to the size of its depth image (H, W), where both show the same shape of frame.

    ScanNet and phones with LiDAR register depth to the colour camera at a lower resolution.

    Raises:
        LightDepthError: aspect ratios that differ by more than half a percent; `name` is the depth image's.
    """
    (height, width), (depth_height, depth_width) = image.shape[:2], depth.shape
    if (height, width) == (depth_height, depth_width):
        return image
    if abs(width * depth_height / (height * depth_width) - 1) > SAME_SHAPE:
        on_its_side = abs(width * depth_width / (height * depth_height) - 1) <= SAME_SHAPE
        mend = "turn one of the two" if on_its_side else "depth must be registered to the colour camera"
        raise LightDepthError(
            f"{name}: depth is {depth_width}x{depth_height} but its image is {width}x{height}; {mend}."
        )
    return resize_rgb(image, depth_height, depth_width)


def check_camera(camera: Intrinsics, name: str, size: tuple[int, ...]) -> None:
    """Refuse a camera of another shape than its image of `size` (H, W); a photograph may be held upright.

    Raises:
        LightDepthError: it is; `name` is the image's.
    """
    height, width = size
    if not (camera.has_shape_of(width, height) or camera.has_shape_of(height, width)):
        raise LightDepthError(
            f"{name} has {width}x{height} pixels and its camera is for {camera.width}x{camera.height}, another shape, "
            "so that its focal length means something else; give the camera of the images as they were cut."
        )


def spread_indices(count: int, wanted: int) -> list[int]:
    """Return at most `wanted` different indices spread evenly over `count`, the first and the last among them."""
    return sorted({int(index) for index in np.linspace(0, count - 1, min(wanted, count)).round()})


def common_camera(pairs: Sequence[Pair]) -> Intrinsics | None:
    """Return the camera of all pairs, or None where they have several or one of them has none."""
    cameras = {pair.intrinsics for pair in pairs}
    return cameras.pop() if len(cameras) == 1 else None


def scenes_of(pairs: PairSet) -> list[str]:
    """Return the names of the scenes in their order of first appearance."""
    return list(indices_by_scene(pairs))


def indices_by_scene(pairs: PairSet) -> dict[str, list[int]]:
    """Return the scenes by name, in their order of first appearance, each with the indices of its pairs."""
    scenes: dict[str, list[int]] = {}
    for index, pair in enumerate(pairs.pairs):
        scenes.setdefault(pair.scene, []).append(index)
    return scenes
