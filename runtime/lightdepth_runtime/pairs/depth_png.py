"""Depth PNG files in metres. The unit follows from packaging and bit depth, never from the values."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.complete import completed
from ..images.decode import decode_image, decode_rgb, read_bytes
from ..images.opencv import import_cv2
from ..images.orientation import SIDEWAYS, orientation_of, turned
from .pair import FrameData, fit_color

__all__ = [
    "DepthRule",
    "FilePair",
    "decode_dense_depth_8bit",
    "decode_depth",
    "decode_millimetres",
    "read_depth_png",
    "read_depth_values",
]

# DenseDepth's training PNGs: 255 is 10 m (ialhashim/DenseDepth issue 146; Hu et al., nyu_transform.py).
STEPS_PER_METRE_8BIT = 25.5
SATURATED_8BIT = 255
MILLIMETRES_PER_METRE = 1000.0

DepthRule = Literal["densedepth", "millimetres"]


@dataclass(frozen=True)
class FilePair:
    """A colour file and a depth PNG beside it. `rule` "densedepth" takes 8-bit training files too."""

    name: str
    scene: str
    color_path: Path
    depth_path: Path
    rule: DepthRule

    def read(self) -> FrameData:
        """Decode both files; depth in metres, 0 where there is no reading."""
        image, values = self.read_stored()
        return FrameData(image, decode_depth(values))

    def read_stored(self) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Return uint8 RGB (H, W, 3), and depth (H, W) as the file holds it, for `decode_depth`.

        Both stand upright by the colour file's orientation, and colour is brought to the size of depth.

        Raises:
            LightDepthError: what reading either raises, one file as both, or shapes that don't belong together.
        """
        content = read_bytes(self.color_path)
        if self._is_depth(content):
            raise LightDepthError(
                f"{self.color_path} is depth, and also given as its own colour image; name the photograph that belongs "
                f"to {self.depth_path}."
            )
        image = decode_rgb(content, self.color_path)
        values = read_depth_values(self.depth_path, self.rule)
        values = _upright(values, image.shape[:2], orientation_of(content))
        return fit_color(image, values, str(self.depth_path)), values

    def _is_depth(self, color: bytes) -> bool:
        """Tell whether the colour file's bytes are the depth file's; sizes first, since they cost nothing."""
        path = self.depth_path
        return path.is_file() and path.stat().st_size == len(color) and path.read_bytes() == color


def _upright(values: NDArray[np.generic], upright: tuple[int, int], orientation: int) -> NDArray[np.generic]:
    """Turn depth (h, w) as its colour file was turned, unless it stands upright already, as its shape may show."""
    height, width = upright
    is_landscape, was_landscape = values.shape[0] < values.shape[1], (height < width) != (orientation in SIDEWAYS)
    if orientation in SIDEWAYS and height != width and is_landscape != was_landscape:
        return values
    return turned(values, orientation)


def read_depth_png(path: Path, rule: DepthRule) -> NDArray[np.float32]:
    """Read a single-channel depth PNG as float32 (H, W) metres, 0 where there is no reading.

    Raises:
        LightDepthError: what `read_depth_values` raises.
    """
    return decode_depth(read_depth_values(path, rule))


def read_depth_values(path: Path, rule: DepthRule) -> NDArray[np.generic]:
    """Read a single-channel depth PNG as it is stored: uint8 or uint16 (H, W).

    Raises:
        LightDepthError: unreadable, truncated, several channels, or a bit depth that the packaging has no rule for.
    """
    content = completed(read_bytes(path), path)
    values = decode_image(content, path, import_cv2().IMREAD_UNCHANGED)
    if values.ndim != 2:
        raise LightDepthError(
            f"{path} has {values.shape[2]} channels; a depth PNG has one. Is it a coloured picture of depth?"
        )
    if values.dtype != np.uint16 and (values.dtype != np.uint8 or rule != "densedepth"):
        raise LightDepthError(
            f"{path} has {values.dtype.itemsize * 8} bits a pixel; this packaging needs 16-bit PNG in millimetres "
            "(0 = no reading). Convert it first."
        )
    return values


def decode_depth(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Turn stored depth (H, W) into float32 metres: 8 bits are DenseDepth's, 16 bits millimetres, float32 metres."""
    if values.dtype == np.uint8:
        return decode_dense_depth_8bit(values.astype(np.uint8, copy=False))
    if values.dtype == np.uint16:
        return decode_millimetres(values.astype(np.uint16, copy=False))
    return values.astype(np.float32, copy=False)


def decode_dense_depth_8bit(values: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Turn Kaggle/DenseDepth training bytes into metres: the middle of each step, `(v + 0.5) / 25.5`.

    0 (no reading) and 255 (saturated: 10 m or anything beyond) become 0.
    """
    table = ((np.arange(256) + 0.5) / STEPS_PER_METRE_8BIT).astype(np.float32)
    table[[0, SATURATED_8BIT]] = 0
    return import_cv2().LUT(values, table)


def decode_millimetres(values: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Turn 16-bit millimetres into float32 metres; 0 stays 0."""
    return values.astype(np.float32) / np.float32(MILLIMETRES_PER_METRE)
