"""What moved between two frames of a camera: optical flow at a size that costs little, and what it doesn't explain."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ..images.opencv import import_cv2

__all__ = ["Motion", "MotionSensor"]

COLUMNS, ROWS = 160, 120
ALIKE = 20.0  # grey levels between a pixel and what came to it: more, and something else stands there
NEIGHBOURS = 5  # pixels a side over which differences are averaged
BORDER, STRIDE = 10, 8  # where the flow's expansion is read: not at the border, every eighth pixel
SETTLING = 2
STILL_PX = 0.2  # flow's own noise


@dataclass(frozen=True, eq=False)
class Motion:
    """The way back from the newer frame to the older one, on a grid of 120 x 160.

    `flow` is float32 (120, 160, 2): where a pixel of the newer frame was, in pixels of the grid. `difference` is uint8
    (120, 160): the grey levels that the flow doesn't explain. `approach` is the logarithm by which the whole scene came
    nearer: positive where the camera moves ahead.
    """

    flow: NDArray[np.float32]
    difference: NDArray[np.uint8]
    approach: float

    @property
    def explained(self) -> float:
        """The share of the newer frame that the older one explains: near 0 where the picture was cut."""
        return float((self.difference < ALIKE).mean())

    def bring(self, *older: NDArray[np.float32]) -> tuple[list[NDArray[np.float32]], NDArray[np.bool_]]:
        """Move older maps (H, W) of one size to where their things are now; return them and where they are known."""
        cv2 = import_cv2()
        height, width = older[0].shape
        flow = cv2.resize(self.flow, (width, height), interpolation=cv2.INTER_LINEAR)
        across, down = _grid(height, width)
        x = across + flow[:, :, 0] * np.float32(width / COLUMNS)
        y = down + flow[:, :, 1] * np.float32(height / ROWS)
        moved = [cv2.remap(one, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for one in older]
        known = cv2.resize(self.difference, (width, height), interpolation=cv2.INTER_LINEAR) < ALIKE
        return moved, known & (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)


class MotionSensor:
    """Follow a stream of images: each call compares with the image before."""

    def __init__(self) -> None:
        cv2 = import_cv2()
        self._flow = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST)
        self._older: NDArray[np.uint8] | None = None

    def reset(self) -> None:
        """Forget the image before."""
        self._older = None

    def update(self, image: NDArray[np.uint8]) -> Motion | None:
        """Return the motion since the image before, None for the first one.

        Args:
            image: uint8 (H, W, C) of any size; the order of its colours doesn't matter.
        """
        cv2 = import_cv2()
        # Means of all pixels would be smoother, and cost twice as much: most of it is reading the frame from memory.
        image = np.ascontiguousarray(image)  # a mirrored view has strides that OpenCV doesn't take
        small = cv2.resize(image, (COLUMNS, ROWS), interpolation=cv2.INTER_LINEAR)  # (120, 160, C), or without C
        grey = small.ndim == 2 or small.shape[2] == 1
        newer = small.reshape(ROWS, COLUMNS) if grey else cv2.cvtColor(small[:, :, :3], cv2.COLOR_RGB2GRAY)
        older, self._older = self._older, newer
        if older is None:
            return None
        flow = self._flow.calc(newer, older, None)  # (120, 160, 2)
        across, down = _grid(ROWS, COLUMNS)
        moved = cv2.remap(
            older, across + flow[:, :, 0], down + flow[:, :, 1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        difference = cv2.blur(cv2.absdiff(newer, moved), (NEIGHBOURS, NEIGHBOURS))
        return Motion(flow, difference, _approach(flow))


def _approach(flow: NDArray[np.float32]) -> float:
    """Fit shift, rotation and expansion to the flow, least squares without what moves otherwise; return the expansion.

    A scene that is nearer by e looks larger by e: a pixel at x from the middle was at x (1 - e).
    """
    inner = slice(BORDER, -BORDER, STRIDE)
    across, down = (grid[inner, inner].ravel() for grid in _grid(ROWS, COLUMNS))
    u, v = (flow[inner, inner, axis].ravel().astype(np.float64) for axis in (0, 1))
    kept = np.ones(len(u), bool)
    expansion = 0.0
    for _ in range(SETTLING):
        x, y = across - across[kept].mean(), down - down[kept].mean()
        square = x[kept] @ x[kept] + y[kept] @ y[kept]
        if square <= 0:
            return 0.0
        expansion = float(x[kept] @ u[kept] + y[kept] @ v[kept]) / square
        turn = float(x[kept] @ v[kept] - y[kept] @ u[kept]) / square
        error = np.hypot(u - u[kept].mean() - expansion * x + turn * y, v - v[kept].mean() - expansion * y - turn * x)
        kept = error <= max(2 * float(np.median(error)), STILL_PX)
    return -expansion


@lru_cache(maxsize=8)
def _grid(rows: int, columns: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return each pixel's column and row, float32 (rows, columns) each."""
    down, across = np.mgrid[0:rows, 0:columns].astype(np.float32)
    return np.ascontiguousarray(across), np.ascontiguousarray(down)
