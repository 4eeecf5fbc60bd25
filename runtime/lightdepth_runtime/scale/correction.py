"""What corrects one image's depth: a factor that varies smoothly over the image."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..images.opencv import import_cv2

__all__ = ["TERMS", "CorrectionKind", "DepthCorrection", "basis"]

CorrectionKind = Literal["none", "scale", "smooth"]
ORDER = 4  # waves across plus waves down; more gained under 0.01 AbsRel from 256 points on TUM frames
# Each term's waves (across, down); the first one is the scale.
TERMS: tuple[tuple[int, int], ...] = tuple(
    (across, total - across) for total in range(ORDER + 1) for across in range(total, -1, -1)
)
COARSE = 48  # the factor has at most four half waves: this many samples a side draw it to 0.1 %


@dataclass(frozen=True)
class DepthCorrection:
    """A factor for each pixel of an image, and how it was found.

    The logarithm of the factor is a sum of cosines (DCT-II) over the image, weighted by `coefficients` in the order of
    `TERMS`; the first is the logarithm of `scale`. Empty coefficients leave depth as it is.
    """

    kind: CorrectionKind
    coefficients: tuple[float, ...] = ()
    log_std: float = math.inf  # uncertainty of the scale's logarithm: 0.05 is about 5 %
    used: int = 0  # points that agreed
    rejected: tuple[int, ...] = ()  # points that didn't: their numbers
    abs_rel_before: float | None = None  # of points, each judged by the others alone; None where they are too few
    abs_rel_after: float | None = None

    @property
    def scale(self) -> float:
        """The image's overall factor."""
        return math.exp(self.coefficients[0]) if self.coefficients else 1.0

    def factor(self, height: int, width: int) -> NDArray[np.float32]:
        """Return each pixel's factor, float32 (height, width)."""
        if self.kind != "smooth":
            return np.full((height, width), self.scale, np.float32)
        cv2 = import_cv2()
        rows, columns = min(height, COARSE), min(width, COARSE)
        log_factor = _coarse_basis(rows, columns) @ np.array(self.coefficients)  # (rows, columns)
        return cv2.resize(np.exp(log_factor).astype(np.float32), (width, height), interpolation=cv2.INTER_LINEAR)

    def apply(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Correct depth (H, W) in metres in place; returns the same array."""
        factor = self.factor(*depth_m.shape) if self.kind == "smooth" else np.float32(self.scale)
        return np.multiply(depth_m, factor, out=depth_m)

    def describe(self) -> str:
        """Say it in half a sentence."""
        if self.kind == "none":
            return "depth as it is"
        shape = ", varying over the image" if self.kind == "smooth" else ""
        rejected = f", {len(self.rejected)} rejected" if self.rejected else ""
        return f"depth x {self.scale:.3f} +- {self.log_std:.1%}{shape} ({self.used} points{rejected})"


def basis(across: NDArray[np.float64], down: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the cosines of `TERMS` at places in the image, parts of its width and height: (...) -> (..., terms)."""
    return np.stack([np.cos(np.pi * i * across) * np.cos(np.pi * j * down) for i, j in TERMS], axis=-1)


@lru_cache(maxsize=4)
def _coarse_basis(rows: int, columns: int) -> NDArray[np.float64]:
    down, across = np.mgrid[0:rows, 0:columns]  # (rows, columns) each
    return basis((across + 0.5) / columns, (down + 0.5) / rows)  # (rows, columns, terms)
