"""An evaluation protocol as a named, printed value: figures of different protocols can't be compared."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError

__all__ = ["PROTOCOLS", "Alignment", "DepthFit", "DepthKind", "Protocol", "align", "fit_alignment", "get_protocol"]

Alignment = Literal["none", "median", "scale-shift"]
Crop = Literal["eigen", "none"]
# What a network's output is: metres, or inverse depth up to an unknown scale and shift.
DepthKind = Literal["metric", "relative-inverse"]

# Rows 45:471 and columns 41:601 of 480x640 (Eigen et al. 2014, as in the code of BTS and AdaBins).
EIGEN_CROP = (45, 471, 41, 601)
EIGEN_SIZE = (480, 640)
SMALLEST_DISPARITY = float(np.finfo(np.float64).tiny)  # 1 / it is finite and beyond every range


@dataclass(frozen=True)
class Protocol:
    """Which pixels count, how predictions are aligned, and how images are averaged.

    A pixel counts where `min_depth_m < truth < max_depth_m` inside the crop. Predictions are resized to the truth's
    size, aligned, then clipped to the range. Metrics are computed for each image and averaged over the images.
    """

    name: str = "eigen"
    crop: Crop = "eigen"
    min_depth_m: float = 1e-3
    max_depth_m: float = 10.0
    alignment: Alignment = "none"
    averaging: Literal["per-image"] = "per-image"
    flip_tta: bool = False

    @property
    def id(self) -> str:
        """Name every choice in one string; rows are comparable only where it is equal."""
        tta = "flip-tta" if self.flip_tta else "no-tta"
        # repr tells any two floats apart
        low, high = (repr(float(value)).removesuffix(".0") for value in (self.min_depth_m, self.max_depth_m))
        return f"crop-{self.crop}_{low}-{high}m_align-{self.alignment}_{self.averaging}_{tta}"

    def describe(self) -> str:
        """Say it in one line for people."""
        crop = "Eigen crop" if self.crop == "eigen" else "no crop"
        align_text = {
            "none": "no alignment",
            "median": "median-aligned",
            "scale-shift": "scale and shift aligned in disparity",
        }[self.alignment]
        tta = "flip TTA" if self.flip_tta else "no TTA"
        return (
            f"{self.name}: {crop}, {self.min_depth_m:g} < truth < {self.max_depth_m:g} m, {align_text}, "
            f"mean of per-image metrics, {tta}"
        )

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the fields and the id for a JSON file."""
        return {"id": self.id, **asdict(self)}

    def valid(self, truth_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the mask of the pixels that count: (H, W) bool. The crop is scaled for sizes other than 480x640."""
        mask = (truth_m > self.min_depth_m) & (truth_m < self.max_depth_m)
        if self.crop == "eigen":
            height, width = truth_m.shape
            top, bottom, left, right = EIGEN_CROP
            rows, columns = height / EIGEN_SIZE[0], width / EIGEN_SIZE[1]
            inside = np.zeros_like(mask)
            inside[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)] = True
            mask &= inside
        return mask


PROTOCOLS = {"eigen": Protocol(), "none": Protocol(name="none", crop="none")}


def get_protocol(name: str, alignment: Alignment = "none", *, flip_tta: bool = False) -> Protocol:
    """Return a preset with an alignment and test-time augmentation chosen.

    Raises:
        LightDepthError: no preset or no alignment of that name.
    """
    if alignment not in get_args(Alignment):
        raise LightDepthError(f"Unknown alignment {alignment!r}; choose one of {', '.join(get_args(Alignment))}.")
    if name not in PROTOCOLS:
        raise LightDepthError(f"Unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}.")
    return replace(PROTOCOLS[name], alignment=alignment, flip_tta=flip_tta)


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
        prediction = prediction.astype(np.float64)
        if not self.in_disparity:
            return self.scale * prediction
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


def align(
    prediction: NDArray[np.floating], truth_m: NDArray[np.floating], alignment: Alignment, kind: DepthKind = "metric"
) -> NDArray[np.float64]:
    """Fit the alignment on the valid pixels (N,) of one image and return their aligned metres."""
    return fit_alignment(prediction, truth_m, alignment, kind).apply(prediction)


def _disparity(prediction: NDArray[np.float64], kind: DepthKind) -> NDArray[np.float64]:
    return prediction if kind == "relative-inverse" else 1 / prediction
