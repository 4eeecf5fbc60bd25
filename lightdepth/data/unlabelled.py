"""Images without depth, as pairs whose depth is all holes: a teacher labels them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.pairs import FrameData

__all__ = ["UnlabelledImage", "load_unlabelled"]


@dataclass(frozen=True)
class UnlabelledImage:
    """An image file; its folder is the scene."""

    path: Path
    depth_unit = None  # there is no depth
    intrinsics = None  # a photograph's camera is not known

    @property
    def name(self) -> str:
        """Name it by its path."""
        return str(self.path)

    @property
    def scene(self) -> str:
        """Name the place by the folder."""
        return str(self.path.parent)

    def read(self) -> FrameData:
        """Decode the image; depth is 0 everywhere."""
        image = read_image(self.path)
        return FrameData(image, np.zeros(image.shape[:2], np.float32))


def load_unlabelled(folder: str, say: Callable[[str], None] = lambda _: None) -> list[UnlabelledImage]:
    """List the images of a folder and the folders in it, in natural order; `say` is told what else lies there.

    Raises:
        LightDepthError: no folder, or no images in it.
    """
    return [UnlabelledImage(job.path) for job in plan_jobs([Path(folder)], say=say)]
