"""The real images that an export is judged on: RGB-D pairs, or plain images where there is no ground truth."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.images.preprocess import resize_rgb
from lightdepth_runtime.pairs import Pair, PairSet, spread_indices
from lightdepth_runtime.parallel import Workers

__all__ = ["Frame", "FrameSource", "check_frames", "read_frames"]

FrameSource = PairSet | Sequence[Path]


@dataclass(frozen=True)
class Frame:
    """One image, uint8 RGB (H, W, 3), with its ground truth in metres, float32 (H, W), where there is one."""

    name: str
    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32] | None

    def resized(self, height: int, width: int) -> Frame:
        """Return the frame at another size; depth takes the nearest reading, and none is invented."""
        if self.image.shape[:2] == (height, width):
            return self
        depth_m = self.depth_m
        if depth_m is not None:
            cv2 = import_cv2()
            depth_m = cv2.resize(depth_m, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
        return replace(self, image=resize_rgb(self.image, height, width), depth_m=depth_m)


def check_frames(source: FrameSource) -> None:
    """Refuse an empty source before anything is computed."""
    if len(source) == 0:
        raise LightDepthError("An export is checked on real images and got none; give --data a folder of pairs.")


def read_frames(source: FrameSource, limit: int | None = None, *, pool: Workers | None = None) -> Iterator[Frame]:
    """Read the frames one by one; with a limit, that many of them, spread evenly over the whole; `pool` reads ahead.

    Raises:
        LightDepthError: a file that can't be read.
    """
    items = source.pairs if isinstance(source, PairSet) else source
    chosen = (items[index] for index in spread_indices(len(items), len(items) if limit is None else limit))
    yield from (pool or Workers(1)).map(_read, chosen, name=lambda item: item.name)


def _read(item: Path | Pair) -> Frame:
    if isinstance(item, Path):
        return Frame(item.name, read_image(item), None)
    data = item.read()
    return Frame(item.name, data.image, data.depth_m)
