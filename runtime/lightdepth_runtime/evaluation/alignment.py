"""Fit one image's prediction to its truth: not at all, by its median, or by scale and shift in disparity."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import DepthKind

__all__ = ["Alignment", "DepthFit", "fit_alignment"]

Alignment = Literal["none", "median", "scale-shift"]
SMALLEST_DISPARITY = float(np.finfo(np.float64).tiny)  # 1 / it is finite and beyond every range


@dataclass(frozen=True)
class DepthFit:
    """One image's alignment, fitted on its valid pixels and good for all of them.

    In depth: metres = scale * prediction. In disparity: 1 / metres = scale * disparity + shift, where the disparity is
    1 / prediction of a metric model and the prediction itself of a relative-inverse one.
    """

    kind: DepthKind = "metric"
    in_disparity: bool = False
    scale: float = 1.0
    shift: float = 0.0

    def apply(self, prediction: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return aligned metres, not clipped; what the fit sends to infinity or behind it becomes a huge depth."""
        if not self.in_disparity:
            return np.multiply(prediction, self.scale, dtype=np.float64)
        prediction = prediction.astype(np.float64)
        aligned = self.scale * _disparity(prediction, self.kind) + self.shift
        return 1 / np.maximum(aligned, SMALLEST_DISPARITY)


def fit_alignment(
    prediction: NDArray[np.floating], truth_m: NDArray[np.floating], alignment: Alignment, kind: DepthKind = "metric"
) -> DepthFit:
    """Fit the alignment of one image on its valid pixels (N,).

    `median` multiplies by median(truth) / median(prediction) (Zhou et al. 2017). `scale-shift` fits
    1 / truth = scale * disparity + shift by least squares, as MiDaS does (Ranftl et al. 2020).

    Raises:
        LightDepthError: a relative prediction without scale-shift alignment: it is not in metres.
    """
    if kind == "relative-inverse" and alignment != "scale-shift":
        raise LightDepthError(
            f"A relative model predicts inverse depth without a scale, so {alignment!r} alignment gives no metres; "
            "use scale-shift."
        )
    if alignment == "none":
        return DepthFit()
    if alignment == "median":
        return DepthFit(scale=float(np.median(truth_m) / np.median(prediction)))
    disparity = _disparity(prediction.astype(np.float64), kind)
    target = 1 / truth_m.astype(np.float64)
    mean, target_mean = disparity.mean(), target.mean()
    centred = disparity - mean
    variance = centred @ centred
    scale = float(centred @ (target - target_mean) / variance) if variance > 0 else 0.0  # a constant fits by its shift
    return DepthFit(kind, in_disparity=True, scale=scale, shift=float(target_mean - scale * mean))


def _disparity(prediction: NDArray[np.float64], kind: DepthKind) -> NDArray[np.float64]:
    return prediction if kind == "relative-inverse" else 1 / prediction
