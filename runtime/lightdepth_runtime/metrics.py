"""The field's depth metrics for one image, in float64."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError
from .images import resize_depth
from .protocol import DepthKind, Protocol, align

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
    prediction: NDArray[np.float32],
    truth_m: NDArray[np.float32],
    protocol: Protocol,
    name: str = "image",
    *,
    kind: DepthKind = "metric",
) -> DepthMetrics:
    """Compare one prediction (h, w) with its truth (H, W) in metres under a protocol.

    Args:
        prediction: metres, or inverse depth without a scale where `kind` is "relative-inverse".
        truth_m: 0 where there is no reading.
        protocol: which pixels count, and how the prediction is aligned.
        name: the image's, for errors.
        kind: what the prediction is.

    Raises:
        LightDepthError: no valid pixel in the truth, or a prediction that is not finite.
    """
    mask = protocol.valid(truth_m)
    if not mask.any():
        raise LightDepthError(
            f"{name} has no valid depth under protocol {protocol.describe()!r}; leave it out of the list."
        )
    predicted = resize_depth(prediction, *truth_m.shape)[mask].astype(np.float64)  # (N,)
    truth = truth_m[mask].astype(np.float64)  # (N,)
    if not np.isfinite(predicted).all():
        raise LightDepthError(
            f"{name}: the model's depth has NaN or infinite values; the model is damaged or its precision overflows."
        )
    if kind == "metric":
        predicted = np.maximum(predicted, protocol.min_depth_m)
    predicted = np.clip(align(predicted, truth, protocol.alignment, kind), protocol.min_depth_m, protocol.max_depth_m)
    difference = predicted - truth
    log_difference = np.log(predicted) - np.log(truth)
    ratio = np.maximum(predicted / truth, truth / predicted)
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
