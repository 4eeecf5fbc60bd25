"""A pair of files: a colour image and the depth that belongs to it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.decode import read_image
from ..spec import Intrinsics
from .depth_file import read_depth_values
from .depth_unit import DepthUnit, decode_depth
from .pair import FrameData, check_same_size

__all__ = ["FilePair", "check_all_exist"]


@dataclass(frozen=True)
class FilePair:
    """A colour file and its depth file, with the unit and the camera where they are known."""

    name: str
    scene: str
    color_path: Path
    depth_path: Path
    unit: DepthUnit | None = None
    intrinsics: Intrinsics | None = None

    @property
    def depth_unit(self) -> str | None:
        """Name the declared unit, or None where the file's type decides."""
        return self.unit.name if self.unit else None

    def read(self) -> FrameData:
        """Decode both files; depth in metres, 0 where there is no reading."""
        image, values = self.read_stored()
        return FrameData(image, self.decode(values))

    def read_stored(self) -> tuple[NDArray[np.uint8], NDArray[np.generic]]:
        """Return uint8 RGB (H, W, 3), and depth (H, W) as the file holds it, for `decode`."""
        image = read_image(self.color_path)
        values = read_depth_values(self.depth_path, self.unit)
        check_same_size(image, values, str(self.depth_path))
        return image, values

    def decode(self, values: NDArray[np.generic]) -> NDArray[np.float32]:
        """Turn stored depth (H, W) into metres."""
        return decode_depth(values, self.unit)


def check_all_exist(pairs: Sequence[FilePair], listing: Path) -> None:
    """Refuse a listing whose files are missing; name the first and count the rest."""
    missing = [path for pair in pairs for path in (pair.color_path, pair.depth_path) if not path.is_file()]
    if missing:
        more = f" (and {len(missing) - 1} more of {2 * len(pairs)} files)" if len(missing) > 1 else ""
        raise LightDepthError(
            f"{listing} names {missing[0]}, which doesn't exist{more}. Restore the files or remove their rows."
        )
