"""The field's depth metrics for one image, in float64."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.preprocess import resize_depth
from ..spec import DepthKind
from .alignment import fit_alignment
from .protocol import Protocol

__all__ = [
    "NO_PIXELS",
    "DepthMetrics",
    "NoValidDepthError",
    "PixelSums",
    "image_metrics",
    "mean_metrics",
    "range_sums",
    "valid_pixels",
]

DELTA_BASE = 1.25
CHUNK_PIXELS = 1 << 14  # what is computed from so many stays in a core's cache: twice as fast as all of them at once


class NoValidDepthError(LightDepthError):
    """A truth without a pixel that counts."""


@dataclass(frozen=True)
class DepthMetrics:
    """Errors of depth p against truth g over valid pixels (Eigen et al. 2014).

    rmse_m sqrt(mean (p-g)^2) and mae_m mean |p-g| in metres; abs_rel mean |p-g|/g; sq_rel mean (p-g)^2/g in metres;
    log10 mean |log10 p - log10 g|; silog 100 sqrt(var(ln p - ln g)); delta1-3 share of max(p/g, g/p) < 1.25^k.
    """

    rmse_m: float
    mae_m: float
    abs_rel: float
    sq_rel: float
    log10: float
    silog: float
    delta1: float
    delta2: float
    delta3: float

    def to_dict(self) -> dict[str, float]:
        """Return the metrics by name."""
        return asdict(self)


@dataclass(frozen=True)
class PixelSums:
    """What the metrics need of some pixels, such that two sets' sums add up to those of their union."""

    pixels: int
    squared: float
    absolute: float
    relative: float
    squared_relative: float
    log10: float
    log_mean: float
    log_squares: float  # of the differences from log_mean: no cancellation, whatever the scale of the prediction
    within: tuple[int, int, int]  # pixels under 1.25, 1.25^2, 1.25^3

    def __add__(self, other: "PixelSums") -> "PixelSums":
        if self.pixels == 0 or other.pixels == 0:
            return other if self.pixels == 0 else self
        pixels = self.pixels + other.pixels
        step = other.log_mean - self.log_mean  # Chan et al. 1979, how two means and sums of squares combine
        return PixelSums(
            pixels,
            self.squared + other.squared,
            self.absolute + other.absolute,
            self.relative + other.relative,
            self.squared_relative + other.squared_relative,
            self.log10 + other.log10,
            self.log_mean + step * other.pixels / pixels,
            self.log_squares + other.log_squares + step**2 * self.pixels * other.pixels / pixels,
            cast(tuple[int, int, int], tuple(a + b for a, b in zip(self.within, other.within, strict=True))),
        )

    def metrics(self) -> DepthMetrics:
        """Return the metrics over these pixels.

        Raises:
            LightDepthError: there are none.
        """
        n = self.pixels
        if n == 0:
            raise LightDepthError("No pixel with valid depth was evaluated; the data has no pairs.")
        return DepthMetrics(
            rmse_m=math.sqrt(self.squared / n),
            mae_m=self.absolute / n,
            abs_rel=self.relative / n,
            sq_rel=self.squared_relative / n,
            log10=self.log10 / n,
            silog=100 * math.sqrt(self.log_squares / n),
            delta1=self.within[0] / n,
            delta2=self.within[1] / n,
            delta3=self.within[2] / n,
        )


NO_PIXELS = PixelSums(0, 0, 0, 0, 0, 0, 0, 0, (0, 0, 0))


def image_metrics(
    prediction: NDArray[np.float32],
    truth_m: NDArray[np.float32],
    protocol: Protocol,
    name: str = "image",
    *,
    kind: DepthKind = "metric",
) -> DepthMetrics:
    """Compare one prediction (h, w) with its truth (H, W) in metres under a protocol; see `valid_pixels`."""
    predicted, truth = valid_pixels(prediction, truth_m, protocol, name, kind=kind)
    return range_sums(predicted, truth, ())[0].metrics()


def valid_pixels(
    prediction: NDArray[np.float32],
    truth_m: NDArray[np.float32],
    protocol: Protocol,
    name: str = "image",
    *,
    kind: DepthKind = "metric",
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the aligned, clipped prediction and the truth of the pixels that count, both (N,) metres.

    Args:
        prediction: metres, or inverse depth without a scale where `kind` is "relative-inverse".
        truth_m: 0 where there is no reading.
        protocol: which pixels count, and how the prediction is aligned.
        name: the image's, for errors.
        kind: what the prediction is.

    Raises:
        NoValidDepthError: no valid pixel in the truth.
        LightDepthError: a prediction that is not finite.
    """
    mask = protocol.valid(truth_m)
    if not mask.any():
        raise NoValidDepthError(
            f"{name} has no valid depth under protocol {protocol.describe()!r}; leave it out of the list."
        )
    predicted = resize_depth(prediction, *truth_m.shape)[mask]  # (N,)
    if not np.isfinite(predicted).all():
        raise LightDepthError(
            f"{name}: the model's depth has NaN or infinite values; the model is damaged or its precision overflows."
        )
    predicted, truth = predicted.astype(np.float64), truth_m[mask].astype(np.float64)
    low, high = protocol.min_prediction_m, protocol.max_prediction_m
    if kind == "metric":
        np.maximum(predicted, low, out=predicted)
    aligned = fit_alignment(predicted, truth, protocol.alignment, kind).apply(predicted)
    return np.clip(aligned, low, high, out=aligned), truth


def range_sums(
    predicted_m: NDArray[np.float64], truth_m: NDArray[np.float64], edges_m: Sequence[float]
) -> list[PixelSums]:
    """Sum up the errors of pixels (N,), both sides positive, for each range of truth between rising edges.

    Every pixel is looked at once: the first sums are of truth below the first edge, the last of truth from the last.
    """
    starts = range(0, max(1, len(truth_m)), CHUNK_PIXELS)
    parts = [_chunk_sums(predicted_m[i : i + CHUNK_PIXELS], truth_m[i : i + CHUNK_PIXELS], edges_m) for i in starts]
    pixels, sums, log_means, log_squares, within = (np.stack(column) for column in zip(*parts, strict=True))
    count = pixels.sum(axis=0)  # (chunks, ranges) -> (ranges,)
    log_mean = (pixels * log_means).sum(axis=0) / np.maximum(count, 1)
    # Chan et al. 1979, how means and sums of squares combine
    log_square = (log_squares + pixels * (log_means - log_mean) ** 2).sum(axis=0)
    squared, absolute, relative, squared_relative, log10 = sums.sum(axis=0).tolist()  # (chunks, 5, ranges)
    within = within.sum(axis=0).tolist()  # (chunks, ranges, 3)
    return [
        PixelSums(
            pixels=int(count[i]),
            squared=squared[i],
            absolute=absolute[i],
            relative=relative[i],
            squared_relative=squared_relative[i],
            log10=log10[i],
            log_mean=float(log_mean[i]),
            log_squares=float(log_square[i]),
            within=(within[i][0], within[i][1], within[i][2]),
        )
        for i in range(len(count))
    ]


def _chunk_sums(
    predicted_m: NDArray[np.float64], truth_m: NDArray[np.float64], edges_m: Sequence[float]
) -> tuple[NDArray[Any], ...]:  # Any: counts and sums
    """Return for each range (R,): pixels, five sums (5, R), mean and squares of the log error, pixels within (R, 3)."""
    ranges = len(edges_m) + 1
    which = np.zeros(len(truth_m), np.intp)
    for edge in edges_m:
        which += truth_m >= edge
    pixels = np.bincount(which, minlength=ranges)

    def total(values: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.bincount(which, values, ranges).astype(np.float64, copy=False)

    absolute = np.abs(predicted_m - truth_m)
    relative = absolute / truth_m
    ratio = predicted_m / truth_m
    logarithm = np.log(ratio)
    log_mean = total(logarithm) / np.maximum(pixels, 1)
    log_absolute = total(np.abs(logarithm)) / np.log(10)
    sums = (total(absolute * absolute), total(absolute), total(relative), total(absolute * relative), log_absolute)
    np.maximum(ratio, truth_m / predicted_m, out=ratio)
    place = 4 * which
    for power in (1, 2, 3):
        place += ratio >= DELTA_BASE**power
    within = np.bincount(place, minlength=4 * ranges).reshape(ranges, 4)[:, :3].cumsum(axis=1)
    return pixels, np.stack(sums), log_mean, total((logarithm - log_mean[which]) ** 2), within


def mean_metrics(per_image: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average per-image metrics, each image counting the same."""
    if not per_image:
        raise LightDepthError("No images were evaluated; the data has no pairs.")
    return DepthMetrics(*(float(np.mean([getattr(m, f.name) for m in per_image])) for f in fields(DepthMetrics)))
