"""A pair of files: a colour image and the depth that belongs to it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.bits import eight_bits
from ..images.decode import decode_rgb, read_bytes
from ..images.exif import SIDEWAYS, orientation_of, turned
from ..spec import Intrinsics
from .depth_file import read_depth_values
from .depth_unit import DepthUnit, decode_depth
from .pair import FrameData, fit_color

__all__ = ["FilePair"]


@dataclass(frozen=True, slots=True)
class FilePair:
    """A colour file and its depth file, with the unit and the camera where they are known.

    Files are kept as text: a list may have millions, and a `Path` takes three times as much.
    """

    name: str
    scene: str
    color_file: str
    depth_file: str
    unit: DepthUnit | None = None
    intrinsics: Intrinsics | None = None

    @property
    def color_path(self) -> Path:
        """Where the photograph is."""
        return Path(self.color_file)

    @property
    def depth_path(self) -> Path:
        """Where its depth is."""
        return Path(self.depth_file)

    @property
    def depth_unit(self) -> str | None:
        """Name the declared unit, or None where the file's type decides."""
        return self.unit.name if self.unit else None

    def read(self) -> FrameData:
        """Decode both files; depth in metres, 0 where there is no reading."""
        image, values = self.read_stored()
        return FrameData(image, decode_depth(values, self.unit))

    def read_stored(self) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Return uint8 RGB (H, W, 3), and depth (H, W) as the file holds it, for `decode_depth`.

        Both stand upright by the colour file's orientation, and colour is brought to the size of depth.

        Raises:
            LightDepthError: what reading either raises, one file as both, or shapes that don't belong together.
        """
        content = read_bytes(self.color_path)
        image = decode_rgb(content, self.color_path)
        values = read_depth_values(self.depth_path, self.unit)
        if _is_picture_of(image, values):
            raise LightDepthError(
                f"{self.color_path} is depth, and also given as its own colour image; name the photograph that belongs "
                f"to {self.depth_path}."
            )
        values = _upright(values, image.shape[:2], orientation_of(content))
        return fit_color(image, values, str(self.depth_path)), values


def _is_picture_of(image: NDArray[np.uint8], depth: NDArray[np.generic]) -> bool:
    """Tell whether an image (h, w, 3) is depth (H, W) as a picture; a black one without a reading is not."""
    middle = image[image.shape[0] // 2]
    if image.shape[:2] != depth.shape or not (middle == middle[:, :1]).all():  # most photographs end here
        return False
    if depth.dtype == np.uint16:
        depth = eight_bits(depth.astype(np.uint16, copy=False))
    return depth.dtype == np.uint8 and bool(depth.any()) and np.array_equal(image[:, :, 0], depth)


def _upright(values: NDArray[np.generic], upright: tuple[int, int], orientation: int) -> NDArray[np.generic]:
    """Turn depth (h, w) as its colour file was turned, unless it stands upright already, as its shape may show."""
    height, width = upright
    is_landscape, was_landscape = values.shape[0] < values.shape[1], (height < width) != (orientation in SIDEWAYS)
    if orientation in SIDEWAYS and height != width and is_landscape != was_landscape:
        return values
    return turned(values, orientation)
