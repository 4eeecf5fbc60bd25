"""The field's depth metrics for one image, in float64."""

from collections.abc import Sequence
from dataclasses import asdict, astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.preprocess import resize_depth
from ..spec import DepthKind
from .alignment import fit_alignment
from .protocol import Protocol

__all__ = [
    "LOG_MEAN",
    "LOG_SQUARES",
    "PIXELS",
    "DepthMetrics",
    "NoValidDepthError",
    "image_metrics",
    "join_sums",
    "mean_metrics",
    "metric_values",
    "range_sums",
    "valid_pixels",
]

DELTA_BASE = 1.25
# What the metrics need of a set of pixels, in a row of eleven: how many they are; the sums of squared, absolute,
# relative, squared relative and |log10| errors; the squares of log errors about their mean, so that nothing cancels
# whatever the scale of the prediction; how many are under 1.25, 1.25^2 and 1.25^3; and the mean of the log errors.
PIXELS, LOG_SQUARES, LOG_MEAN = 0, 6, 10
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

    @classmethod
    def from_sums(cls, sums: NDArray[np.float64]) -> "DepthMetrics":
        """Return the metrics over the pixels, one or more, with these sums (11,)."""
        return cls(*metric_values(sums).tolist())

    def to_dict(self) -> dict[str, float]:
        """Return the metrics by name."""
        return asdict(self)


def join_sums(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sums (..., 11) of the union of several sets of pixels, from those of each (K, ..., 11)."""
    total = sums.sum(axis=0)
    pixels, log_means = sums[..., PIXELS], sums[..., LOG_MEAN]
    log_mean = (pixels * log_means).sum(axis=0) / np.maximum(total[..., PIXELS], 1)
    # Chan et al. 1979, how means and sums of squares combine
    total[..., LOG_SQUARES] += (pixels * (log_means - log_mean) ** 2).sum(axis=0)
    total[..., LOG_MEAN] = log_mean
    return total


def metric_values(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the metrics (..., 9), in the order of `DepthMetrics`, of pixels with these sums (..., 11)."""
    values = sums[..., 1:LOG_MEAN] / sums[..., :1]
    values[..., 0] = np.sqrt(values[..., 0])
    values[..., LOG_SQUARES - 1] = 100 * np.sqrt(values[..., LOG_SQUARES - 1])
    return values


def image_metrics(
    prediction: NDArray[np.float32], truth_m: NDArray[np.float32], protocol: Protocol, name: str = "image"
) -> DepthMetrics:
    """Compare one prediction (h, w) with its truth (H, W), both in metres, under a protocol; see `valid_pixels`."""
    predicted, truth = valid_pixels(prediction, truth_m, protocol, name)
    return DepthMetrics.from_sums(range_sums(predicted, truth, ())[0])


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
) -> NDArray[np.float64]:
    """Sum up the errors of pixels (N,), both sides positive, for each range of truth between rising edges: (R, 11).

    Every pixel is looked at once: the first sums are of truth below the first edge, the last of truth from the last.
    """
    starts = range(0, max(1, len(truth_m)), CHUNK_PIXELS)
    parts = [_chunk_sums(predicted_m[i : i + CHUNK_PIXELS], truth_m[i : i + CHUNK_PIXELS], edges_m) for i in starts]
    return join_sums(np.stack(parts))


def _chunk_sums(
    predicted_m: NDArray[np.float64], truth_m: NDArray[np.float64], edges_m: Sequence[float]
) -> NDArray[np.float64]:
    """Do it for as many pixels as fit into a core's cache."""
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
    log_squares = total((logarithm - log_mean[which]) ** 2)
    np.maximum(ratio, truth_m / predicted_m, out=ratio)
    place = 4 * which
    for power in (1, 2, 3):
        place += ratio >= DELTA_BASE**power
    within = np.bincount(place, minlength=4 * ranges).reshape(ranges, 4)[:, :3].cumsum(axis=1)
    errors = (total(absolute * absolute), total(absolute), total(relative), total(absolute * relative), log_absolute)
    return np.column_stack([pixels, *errors, log_squares, within, log_mean]).astype(np.float64, copy=False)


def mean_metrics(per_image: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average per-image metrics, each image counting the same."""
    if not per_image:
        raise LightDepthError("No images were evaluated; the data has no pairs.")
    return DepthMetrics(*np.mean([astuple(metrics) for metrics in per_image], axis=0).tolist())
