"""Where depth goes: colour pictures with a scale, 16-bit millimetre PNGs, float arrays."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .atomic import atomic_path, write_bytes
from .colorize import Colormap, DepthRange, colorize, depth_range, with_scale
from .errors import LightDepthError
from .images import import_cv2
from .sources import ImageJob

__all__ = ["SAVE_KINDS", "DepthFiles", "depth_as_mm", "encode_png", "parse_save"]

LARGEST_MM = 65535  # what 16 bits hold: 65.535 m


def parse_save(text: str) -> frozenset[str]:
    """Read `png,png16,npy`.

    Raises:
        LightDepthError: an unknown kind, or none.
    """
    kinds = frozenset(kind.strip() for kind in text.split(",") if kind.strip())
    if not kinds or not kinds <= SAVE_KINDS.keys():
        raise LightDepthError(f"--save takes {', '.join(SAVE_KINDS)} separated by commas, got {text!r}.")
    return kinds


def depth_as_mm(depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
    """Turn metres (H, W) into 16-bit millimetres, rounded to the nearest and clipped to 65535."""
    return np.clip(np.rint(depth_m * np.float32(1000)), 0, LARGEST_MM).astype(np.uint16)


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode uint8 RGB (H, W, 3) or single-channel uint16 (H, W) as PNG."""
    cv2 = import_cv2()
    done, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    assert done, f"OpenCV can't encode {image.shape} {image.dtype}"
    return content.tobytes()


@dataclass(frozen=True)
class DepthFiles:
    """Write each depth map as the kinds of file in `save`, whole or not at all.

    `png` is `STEM_depth.png`: colour with a scale in metres beside it. `png16` is `STEM_depth_mm.png`: millimetres.
    `npy` is `STEM_depth.npy`: float32 (H, W) metres.
    """

    folder: Path
    save: frozenset[str]
    colormap: Colormap = "plasma"
    limits: DepthRange | None = None  # the model's; a picture's own range stays inside
    scale: DepthRange | None = None  # one range for all pictures instead of each one's own

    def paths(self, stem: str) -> list[Path]:
        """Return what `write` writes for a stem."""
        return [self.folder / f"{stem}{SAVE_KINDS[kind][0]}" for kind in SAVE_KINDS if kind in self.save]

    def check_inputs(self, jobs: Sequence[ImageJob]) -> None:
        """Refuse to write over an image that is to be read."""
        inputs = {job.path.resolve() for job in jobs}
        for job in jobs:
            for path in self.paths(job.stem):
                if path.resolve() in inputs:
                    raise LightDepthError(
                        f"Depth of {job.path} would be written over the input {path}; choose another --output."
                    )

    def write(self, depth_m: NDArray[np.float32], stem: str) -> list[Path]:
        """Write one depth map; return the files.

        Raises:
            LightDepthError: the folder can't be written.
        """
        for kind, (ending, write) in SAVE_KINDS.items():
            if kind in self.save:
                write(self, depth_m, self.folder / f"{stem}{ending}")
        return self.paths(stem)

    def _write_png(self, depth_m: NDArray[np.float32], path: Path) -> None:
        scale = self.scale or depth_range(depth_m, self.limits)
        write_bytes(path, encode_png(with_scale(colorize(depth_m, self.colormap, scale), self.colormap, scale)))

    def _write_png16(self, depth_m: NDArray[np.float32], path: Path) -> None:
        write_bytes(path, encode_png(depth_as_mm(depth_m)))

    def _write_npy(self, depth_m: NDArray[np.float32], path: Path) -> None:
        with atomic_path(path) as temporary:
            np.save(temporary, depth_m)


_Writer = Callable[[DepthFiles, NDArray[np.float32], Path], None]
# Each kind's file name ending and its writer, in the order of writing.
SAVE_KINDS: dict[str, tuple[str, _Writer]] = {
    "png": ("_depth.png", DepthFiles._write_png),
    "png16": ("_depth_mm.png", DepthFiles._write_png16),
    "npy": ("_depth.npy", DepthFiles._write_npy),
}
