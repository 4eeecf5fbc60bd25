"""The field's depth metrics for one image, in float64."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError
from .images import resize_depth
from .protocol import Protocol, align

__all__ = ["DepthMetrics", "image_metrics", "mean_metrics"]

DELTA_BASE = 1.25


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


def image_metrics(
    prediction_m: NDArray[np.float32], truth_m: NDArray[np.float32], protocol: Protocol, name: str = "image"
) -> DepthMetrics:
    """Compare one prediction (h, w) with its truth (H, W), both in metres, under a protocol.

    Raises:
        LightDepthError: no valid pixel in the truth, or a prediction that is not positive and finite.
    """
    mask = protocol.valid(truth_m)
    if not mask.any():
        raise LightDepthError(
            f"{name} has no valid depth under protocol {protocol.describe()!r}; leave it out of the list."
        )
    prediction = resize_depth(prediction_m, *truth_m.shape)[mask].astype(np.float64)  # (N,)
    truth = truth_m[mask].astype(np.float64)  # (N,)
    if not np.isfinite(prediction).all():
        raise LightDepthError(
            f"{name}: the model's depth has NaN or infinite values; the model is damaged or its precision overflows."
        )
    prediction = np.maximum(prediction, protocol.min_depth_m)
    prediction = np.clip(align(prediction, truth, protocol.alignment), protocol.min_depth_m, protocol.max_depth_m)
    difference = prediction - truth
    log_difference = np.log(prediction) - np.log(truth)
    ratio = np.maximum(prediction / truth, truth / prediction)
    return DepthMetrics(
        rmse_m=float(np.sqrt(np.mean(difference**2))),
        mae_m=float(np.mean(np.abs(difference))),
        abs_rel=float(np.mean(np.abs(difference) / truth)),
        sq_rel=float(np.mean(difference**2 / truth)),
        log10=float(np.mean(np.abs(log_difference)) / np.log(10)),
        silog=float(100 * np.std(log_difference)),
        delta1=float(np.mean(ratio < DELTA_BASE)),
        delta2=float(np.mean(ratio < DELTA_BASE**2)),
        delta3=float(np.mean(ratio < DELTA_BASE**3)),
    )


def mean_metrics(per_image: Sequence[DepthMetrics]) -> DepthMetrics:
    """Average per-image metrics, each image counting the same."""
    if not per_image:
        raise LightDepthError("No images were evaluated; the data has no pairs.")
    return DepthMetrics(*(float(np.mean([getattr(m, f.name) for m in per_image])) for f in fields(DepthMetrics)))
