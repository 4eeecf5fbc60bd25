"""An evaluation protocol as a named, printed value: figures of different protocols can't be compared."""

import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import DepthKind

__all__ = [
    "PROTOCOLS",
    "Alignment",
    "Averaging",
    "DepthFit",
    "Protocol",
    "align",
    "fit_alignment",
    "get_protocol",
]

Alignment = Literal["none", "median", "scale-shift"]
Averaging = Literal["per-image", "pooled"]
Crop = Literal["eigen", "densedepth", "fastdepth", "none"]

FULL_SIZE = (480, 640)  # what the crops are given for, in rows and columns
CROPS: dict[Crop, tuple[int, int, int, int]] = {
    "eigen": (45, 471, 41, 601),  # Eigen et al. 2014, as in the code of BTS and AdaBins
    "densedepth": (20, 460, 24, 616),  # eigen_test_crop.npy of DenseDepth; GuideDepth's evaluate.py writes it out
}
# fast-depth, dataloaders/nyu.py: shrink to 250 rows, take the centre, shrink again; all by nearest neighbour.
FASTDEPTH_SHRUNK, FASTDEPTH_CENTRE, FASTDEPTH_SIZE = (250, 333), (228, 304), (224, 224)
FASTDEPTH_CORNER = (11, 14)
SMALLEST_DISPARITY = float(np.finfo(np.float64).tiny)  # 1 / it is finite and beyond every range


@dataclass(frozen=True)
class Protocol:
    """Which pixels count, how predictions are aligned, and how images are averaged.

    A pixel counts where `min_depth_m < truth < max_depth_m` inside the crop. Predictions are resized to the truth's
    size, aligned, then clipped to `min_prediction_m .. max_prediction_m`. `per-image` averages each image's metrics,
    `pooled` computes them over the pixels of all images. The crop `fastdepth` cuts the frame itself, so that the model
    sees no more than what counts. `flip_tta` averages the depth of the frame and of its mirror image;
    `flip_as_sample` scores the mirror image as another sample.
    """

    name: str = "eigen"
    crop: Crop = "eigen"
    min_depth_m: float = 1e-3
    max_depth_m: float = 10.0
    alignment: Alignment = "none"
    averaging: Averaging = "per-image"
    flip_tta: bool = False
    flip_as_sample: bool = False
    min_prediction_m: float = 1e-3
    max_prediction_m: float = 10.0

    @property
    def id(self) -> str:
        """Name every choice in one string; rows are comparable only where it is equal."""
        truth, clip = (self.min_depth_m, self.max_depth_m), (self.min_prediction_m, self.max_prediction_m)
        clipped = "" if clip == truth else f"_clip-{_range(clip)}"
        tta = {(False, False): "no-tta", (True, False): "flip-tta", (False, True): "flip-sample"}.get(
            (self.flip_tta, self.flip_as_sample), "flip-tta-flip-sample"
        )
        return f"crop-{self.crop}_{_range(truth)}_align-{self.alignment}_{self.averaging}_{tta}{clipped}"

    def describe(self) -> str:
        """Say it in one line for people."""
        crop = {
            "eigen": "Eigen crop",
            "densedepth": "crop 20:460, 24:616",
            "fastdepth": "frames cut to their centre at 224x224",
            "none": "no crop",
        }[self.crop]
        align_text = {
            "none": "no alignment",
            "median": "median-aligned",
            "scale-shift": "scale and shift aligned in disparity",
        }[self.alignment]
        average = {"per-image": "mean of per-image metrics", "pooled": "pooled over all pixels"}[self.averaging]
        tta = "flip TTA" if self.flip_tta else "no TTA"
        return (
            f"{self.name}: {crop}, {self.min_depth_m:g} < truth < {self.max_depth_m:g} m, {align_text}, "
            f"predictions within {self.min_prediction_m:g}..{self.max_prediction_m:g} m, {average}, {tta}"
            f"{', mirror images scored too' if self.flip_as_sample else ''}"
        )

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the fields and the id for a JSON file; a limit that isn't there is null."""
        values = {key: None if value == math.inf else value for key, value in asdict(self).items()}
        return {"id": self.id, **values}

    def differences(self, other: "Protocol") -> list[str]:
        """Name the choices in which two protocols differ; their names don't matter."""
        mine, theirs = asdict(self), asdict(other)
        return [f"{key} {mine[key]} and {theirs[key]}" for key in mine if key != "name" and mine[key] != theirs[key]]

    def view(
        self, image: NDArray[np.uint8], truth_m: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the frame as the model sees it, and its truth: the whole frame, but for the crop `fastdepth`.

        Raises:
            LightDepthError: `fastdepth` and a frame that isn't 480x640.
        """
        if self.crop != "fastdepth":
            return image, truth_m
        if truth_m.shape != FULL_SIZE:
            raise LightDepthError(
                f"Protocol {self.name} is defined for frames of 480x640, got {truth_m.shape[0]}x{truth_m.shape[1]}; "
                "choose another --protocol."
            )
        rows, columns = _fastdepth_indices()
        return np.ascontiguousarray(image[rows[:, None], columns]), np.ascontiguousarray(
            truth_m[rows[:, None], columns]
        )

    def valid(self, truth_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the mask of the pixels that count: (H, W) bool. The crop is scaled for sizes other than 480x640."""
        mask = (truth_m > self.min_depth_m) & (truth_m < self.max_depth_m)
        if self.crop in CROPS:
            height, width = truth_m.shape
            top, bottom, left, right = CROPS[self.crop]
            rows, columns = height / FULL_SIZE[0], width / FULL_SIZE[1]
            inside = np.zeros_like(mask)
            inside[round(top * rows) : round(bottom * rows), round(left * columns) : round(right * columns)] = True
            mask &= inside
        return mask


_DENSEDEPTH = Protocol("densedepth", "densedepth", min_prediction_m=0.1)

# As read in the works' published code.
PROTOCOLS = {
    preset.name: preset
    for preset in (
        Protocol(),
        Protocol("none", "none"),
        Protocol("bts"),  # cleinc/bts, bts_main.py: the default of this project is its protocol
        Protocol("adabins", flip_tta=True),  # AdaBins and ZoeDepth, evaluate.py: as BTS with the mirror image averaged
        replace(_DENSEDEPTH, averaging="pooled", flip_tta=True),  # ialhashim/DenseDepth, utils.py: evaluate
        replace(_DENSEDEPTH, name="guidedepth", flip_as_sample=True),  # mic-rud/GuidedDecoding, evaluate.py
        # dwofk/fast-depth, metrics.py: every pixel with a reading; nothing is clipped but what would have no logarithm
        Protocol("fastdepth", "fastdepth", min_depth_m=0.0, max_depth_m=math.inf, max_prediction_m=math.inf),
    )
}


def get_protocol(name: str, alignment: Alignment = "none", *, flip_tta: bool = False) -> Protocol:
    """Return a preset with an alignment; `flip_tta` adds it where the preset hasn't got it.

    Raises:
        LightDepthError: no preset or no alignment of that name.
    """
    if alignment not in get_args(Alignment):
        raise LightDepthError(f"Unknown alignment {alignment!r}; choose one of {', '.join(get_args(Alignment))}.")
    if name not in PROTOCOLS:
        raise LightDepthError(f"Unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}.")
    preset = PROTOCOLS[name]
    return replace(preset, alignment=alignment, flip_tta=flip_tta or preset.flip_tta)


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


def _range(limits_m: tuple[float, float]) -> str:
    """Write a range so that any two floats are told apart, as repr does."""
    low, high = (repr(float(value)).removesuffix(".0") for value in limits_m)
    return f"{low}-{high}m"


@lru_cache(maxsize=1)
def _fastdepth_indices() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of 480x640 that remain after two resizes by nearest neighbour and the crop."""
    indices = []
    for full, shrunk, centre, size, corner in zip(
        FULL_SIZE, FASTDEPTH_SHRUNK, FASTDEPTH_CENTRE, FASTDEPTH_SIZE, FASTDEPTH_CORNER, strict=True
    ):
        first = _nearest(full, shrunk)[corner : corner + centre]
        indices.append(first[_nearest(centre, size)])
    return indices[0], indices[1]


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    """Return the source index of each target pixel's centre, as PIL's nearest neighbour takes it: ties by its sums."""
    step = source / target
    return np.cumsum([step / 2, *[step] * (target - 1)]).astype(np.intp)
