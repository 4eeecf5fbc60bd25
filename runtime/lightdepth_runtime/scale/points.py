"""Known distances in one image: pixels and metres, checked once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics

__all__ = ["KnownPoints", "PointsLike", "axis_depth_m"]

PointsLike = Sequence[Sequence[float]] | NDArray[np.floating]


@dataclass(frozen=True, eq=False)
class KnownPoints:
    """Pixels of one image whose depth is known.

    `x` and `y` are pixels (N,), pixel centres at whole numbers; `depth_m` is (N,) metres along the optical axis, as
    the model's own depth.
    """

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    depth_m: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.depth_m)

    @classmethod
    def read(cls, points: PointsLike | KnownPoints, height: int, width: int) -> KnownPoints:
        """Check points `(x, y, metres)` against the size of their image.

        Args:
            points: N triples, or an array (N, 3). None at all is fine.
            height: of the image in pixels.
            width: of the image in pixels.

        Raises:
            LightDepthError: no triples of numbers, a point outside the image, or metres that are not positive and
                finite. The first wrong point is named.
        """
        if isinstance(points, KnownPoints):
            points = np.stack([points.x, points.y, points.depth_m], axis=1)  # (N, 3)
        try:
            values = np.asarray(points, np.float64)
        except (TypeError, ValueError) as error:
            raise LightDepthError(f"Known points are triples (x, y, metres) of numbers; got {points!r:.80}.") from error
        if values.size == 0:
            values = values.reshape(0, 3)
        if values.ndim != 2 or values.shape[1] != 3:
            raise LightDepthError(
                f"Known points are triples (x, y, metres), an array (N, 3); got the shape {values.shape}."
            )
        x, y, depth_m = values.T
        # A pixel covers half a step around its centre.
        outside = ~((x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5))  # NaN is outside
        impossible = ~(np.isfinite(depth_m) & (depth_m > 0))
        if outside.any():
            number = int(np.argmax(outside))
            raise LightDepthError(
                f"Known point {number} at ({x[number]:g}, {y[number]:g}) is outside the image, which is "
                f"{width}x{height}; leave it out, or give pixels of this very image as (x, y, metres)."
            )
        if impossible.any():
            number = int(np.argmax(impossible))
            raise LightDepthError(
                f"Known point {number} at ({x[number]:g}, {y[number]:g}) has {depth_m[number]:g} m; a distance is "
                "positive and finite. Leave out what the sensor didn't measure."
            )
        return cls(x, y, depth_m)

    def places(self, height: int, width: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the points' places as parts of the width and height of their image, (N,) each."""
        return (self.x + 0.5) / width, (self.y + 0.5) / height

    def resized(self, size: tuple[int, ...], target: tuple[int, ...]) -> KnownPoints:
        """Return the points in pixels of their image stretched from `size` to `target`, both (rows, columns)."""
        down, across = target[0] / size[0], target[1] / size[1]
        return KnownPoints((self.x + 0.5) * across - 0.5, (self.y + 0.5) * down - 0.5, self.depth_m)


def axis_depth_m(range_m: ArrayLike, x: ArrayLike, y: ArrayLike, camera: Intrinsics) -> NDArray[np.float64]:
    """Turn distances along the ray of a pixel into depth along the optical axis, in metres.

    Lidars and range finders measure along the ray; depth is shorter by the cosine of the angle to the axis.

    Args:
        range_m: metres along the ray, any shape.
        x: pixels, the same shape.
        y: pixels, the same shape.
        camera: for the image that the pixels belong to.
    """
    across = (np.asarray(x, np.float64) - camera.cx) / camera.fx
    down = (np.asarray(y, np.float64) - camera.cy) / camera.fy
    return np.asarray(range_m, np.float64) / np.sqrt(1 + across**2 + down**2)
