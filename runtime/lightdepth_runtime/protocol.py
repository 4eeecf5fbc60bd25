"""An evaluation protocol as a named, printed value: figures of different protocols can't be compared."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError

__all__ = ["PROTOCOLS", "Alignment", "Protocol", "align", "get_protocol"]

Alignment = Literal["none", "median", "scale-shift"]
Crop = Literal["eigen", "none"]

# Rows 45:471 and columns 41:601 of 480x640 (Eigen et al. 2014, as in the code of BTS and AdaBins).
EIGEN_CROP = (45, 471, 41, 601)
EIGEN_SIZE = (480, 640)


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
    averaging: str = "per-image"
    flip_tta: bool = False

    @property
    def id(self) -> str:
        """Name every choice in one string; rows are comparable only where it is equal."""
        tta = "flip-tta" if self.flip_tta else "no-tta"
        return (
            f"crop-{self.crop}_{self.min_depth_m:g}-{self.max_depth_m:g}m_align-{self.alignment}_{self.averaging}_{tta}"
        )

    def describe(self) -> str:
        """Say it in one line for people."""
        crop = "Eigen crop" if self.crop == "eigen" else "no crop"
        align_text = {
            "none": "no alignment",
            "median": "median-aligned",
            "scale-shift": "scale and shift aligned in disparity",
        }[self.alignment]
        tta = "flip TTA" if self.flip_tta else "no TTA"
        return f"{self.name}: {crop}, {self.min_depth_m:g} < truth < {self.max_depth_m:g} m, {align_text}, mean of per-image metrics, {tta}"

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
        LightDepthError: no preset of that name.
    """
    if name not in PROTOCOLS:
        raise LightDepthError(f"Unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}.")
    preset = PROTOCOLS[name]
    return Protocol(
        preset.name, preset.crop, preset.min_depth_m, preset.max_depth_m, alignment, preset.averaging, flip_tta
    )


def align(prediction: NDArray[np.float64], truth_m: NDArray[np.float64], alignment: Alignment) -> NDArray[np.float64]:
    """Align the valid pixels (N,) of one image's prediction in metres to its truth.

    `median` multiplies by median(truth) / median(prediction) (Zhou et al. 2017). `scale-shift` fits
    1 / truth = s / prediction + t by least squares, in disparity as MiDaS does (Ranftl et al. 2020).
    """
    if alignment == "none":
        return prediction
    if alignment == "median":
        return prediction * (np.median(truth_m) / np.median(prediction))
    disparity = 1 / prediction
    design = np.stack([disparity, np.ones_like(disparity)], axis=1)  # (N, 2)
    scale, shift = np.linalg.lstsq(design, 1 / truth_m, rcond=None)[0]
    aligned = scale * disparity + shift
    return 1 / np.maximum(
        aligned, np.finfo(np.float64).tiny
    )  # not positive means beyond every range: clipped to the far end
