"""An evaluation protocol as a named, printed value: figures of different protocols can't be compared."""

import math
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError, nearest
from .alignment import Alignment

__all__ = ["PROTOCOLS", "Averaging", "Crop", "Protocol", "ProtocolParts", "choose_protocol", "get_protocol"]

Averaging = Literal["per-image", "pooled"]
Crop = Literal["eigen", "densedepth", "fastdepth", "garg", "eigen-kitti", "none"]
NYU_RANGE_M = 10.0
KITTI_RANGE_M = 80.0
NYU_SIZE = (480, 640)  # NYU Depth V2's frames, in rows and columns
# Top, bottom, left and right, as shares of the frame.
_SHARES: dict[str, tuple[float, float, float, float]] = {
    "eigen": (45 / 480, 471 / 480, 41 / 640, 601 / 640),  # Eigen et al. 2014, as in the code of BTS and AdaBins
    "densedepth": (20 / 480, 460 / 480, 24 / 640, 616 / 640),  # eigen_test_crop.npy of DenseDepth
    # KITTI's, as in monodepth's evaluate_kitti.py and BTS's bts_test.py: Garg et al. 2016, and Eigen et al. 2014.
    "garg": (0.40810811, 0.99189189, 0.03594771, 0.96405229),
    "eigen-kitti": (0.3324324, 0.91351351, 0.0359477, 0.96405229),
}
_TRUNCATED = frozenset({"garg", "eigen-kitti"})  # that code casts to int where this project rounds
# fast-depth, dataloaders/nyu.py: shrink to 250 rows, take the centre, shrink again; all by nearest neighbour. For rows
# and for columns: those of the frame, those after shrinking, the centre's first one and how many, those in the end.
_FASTDEPTH = ((480, 250, 11, 228, 224), (640, 333, 14, 304, 224))


@dataclass(frozen=True)
class Protocol:
    """Which pixels count, how predictions are aligned, and how images are averaged.

    A pixel counts where `min_depth_m < truth < max_depth_m` inside the crop. Predictions are resized to the truth's
    size, aligned, then clipped to `min_prediction_m .. max_prediction_m`. `per-image` averages each image's metrics,
    `pooled` computes them over the pixels of all images. The crop `fastdepth` cuts the frame itself, so that the model
    sees no more than what counts. `focal` scales each prediction from the model's camera to the pair's where both are
    known. `flip_tta` averages the depth of the frame and of its mirror image;
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
    focal: bool = False

    @property
    def id(self) -> str:
        """Name every choice in one string; rows are comparable only where it is equal."""
        truth, clip = (self.min_depth_m, self.max_depth_m), (self.min_prediction_m, self.max_prediction_m)
        clipped = "" if clip == truth else f"_clip-{_range(clip)}"
        tta = "-".join(["flip-tta"] * self.flip_tta + ["flip-sample"] * self.flip_as_sample) or "no-tta"
        extra = f"{clipped}{'_focal' * self.focal}"
        return f"crop-{self.crop}_{_range(truth)}_align-{self.alignment}_{self.averaging}_{tta}{extra}"

    def describe(self) -> str:
        """Say it in one line for people."""
        crop = {
            "eigen": "Eigen crop",
            "densedepth": "crop 20:460, 24:616",
            "fastdepth": "frames cut to their centre at 224x224",
            "garg": "Garg crop",
            "eigen-kitti": "Eigen's KITTI crop",
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
            f"{', depth scaled to the camera of each pair' if self.focal else ''}"
        )

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the fields and the id for a JSON file; a limit that isn't there is null."""
        values = {key: None if value == math.inf else value for key, value in asdict(self).items()}
        return {"id": self.id, **values}

    def view(
        self, image: NDArray[np.uint8], truth_m: NDArray[np.float32]
    ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return the frame as the model sees it, and its truth: the whole frame, but for the crop `fastdepth`.

        Raises:
            LightDepthError: `fastdepth` and a frame that isn't 480x640.
        """
        if self.crop != "fastdepth":
            return image, truth_m
        if truth_m.shape != NYU_SIZE:
            raise LightDepthError(
                f"Protocol {self.name} is defined for frames of 480x640, got {truth_m.shape[0]}x{truth_m.shape[1]}; "
                "choose another --protocol."
            )
        place = np.ix_(*_fastdepth_indices())
        return np.ascontiguousarray(image[place]), np.ascontiguousarray(truth_m[place])

    def valid(self, truth_m: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return the mask of the pixels that count: (H, W) bool. A crop is a share of the frame, whatever its size."""
        mask = (truth_m > self.min_depth_m) & (truth_m < self.max_depth_m)
        inside = np.zeros_like(mask)
        inside[_crop_slices(self.crop, *truth_m.shape)] = True
        return mask & inside


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
        # KITTI, as BTS, AdaBins and ZoeDepth score it: Garg's crop, 80 m; with Eigen's own crop; and without one
        Protocol("garg", "garg", max_depth_m=KITTI_RANGE_M, max_prediction_m=KITTI_RANGE_M),
        Protocol("eigen-kitti", "eigen-kitti", max_depth_m=KITTI_RANGE_M, max_prediction_m=KITTI_RANGE_M),
        Protocol("kitti", "garg", max_depth_m=KITTI_RANGE_M, max_prediction_m=KITTI_RANGE_M),
    )
}
# What each packaging is scored with in the literature; pair lists keep the crop of this project's own figures.
_PACKAGING_CROPS: dict[str, Crop] = {"kaggle": "eigen", "labelled mat": "eigen", "pair list": "eigen", "KITTI": "garg"}


@dataclass(frozen=True)
class ProtocolParts:
    """What is asked for beside a preset; None leaves a part as the preset has it."""

    alignment: Alignment = "none"
    flip_tta: bool = False
    crop: Crop | None = None
    max_depth_m: float | None = None
    averaging: Averaging | None = None
    focal: bool = False


def get_protocol(name: str, alignment: Alignment = "none", *, flip_tta: bool = False) -> Protocol:
    """Return a preset with an alignment; `flip_tta` adds it where the preset hasn't got it.

    Raises:
        LightDepthError: no preset or no alignment of that name.
    """
    return choose_protocol(name, ProtocolParts(alignment, flip_tta))


def choose_protocol(
    name: str | None, parts: ProtocolParts | None = None, *, packaging: str = "", range_m: float = NYU_RANGE_M
) -> Protocol:
    """Return a preset, or without a name the protocol that data and model imply, with the parts that are asked for.

    Without a name NYU Depth V2 and pair lists are scored within Eigen's crop, KITTI within Garg's, other folders whole,
    and truth counts up to `range_m`. A result that equals a preset is called by its name, any other "custom".

    Args:
        name: of a preset, or None.
        parts: what to change.
        packaging: of the pairs.
        range_m: the model's `max_depth_m`.

    Raises:
        LightDepthError: no preset, alignment, crop or average of that name, or a range that is empty.
    """
    parts = parts or ProtocolParts()
    if name is not None:
        if name not in PROTOCOLS:
            raise LightDepthError(
                f"Unknown protocol {name!r}; choose one of {', '.join(PROTOCOLS)}{nearest(name, PROTOCOLS)}."
            )
        return _with_parts(PROTOCOLS[name], parts)
    crop = _PACKAGING_CROPS.get(packaging.removeprefix("packed "), "none")
    if crop == "eigen" and range_m > NYU_RANGE_M:
        crop = "none"  # a room's crop says nothing about a street
    implied = _with_parts(Protocol(), ProtocolParts(crop=crop, max_depth_m=range_m))
    return _with_parts(implied, parts)


def _with_parts(preset: Protocol, parts: ProtocolParts) -> Protocol:
    """Replace parts, and find the preset that is equal but for alignment, mirror images and focal length."""
    for what, value, known in (
        ("alignment", parts.alignment, get_args(Alignment)),
        ("crop", parts.crop, get_args(Crop)),
        ("average", parts.averaging, get_args(Averaging)),
    ):
        if value is not None and value not in known:
            raise LightDepthError(f"Unknown {what} {value!r}; choose one of {', '.join(known)}.")
    if parts.focal and "fastdepth" in (parts.crop, preset.crop):
        raise LightDepthError("The crop fastdepth cuts the frame itself, so --focal on doesn't fit it; leave one out.")
    changed = replace(preset, crop=parts.crop or preset.crop, averaging=parts.averaging or preset.averaging)
    if parts.max_depth_m is not None:
        if not parts.max_depth_m > preset.min_depth_m:
            raise LightDepthError(
                f"A protocol's range must end beyond {preset.min_depth_m:g} m, got --max-depth {parts.max_depth_m:g}."
            )
        changed = replace(changed, max_depth_m=parts.max_depth_m, max_prediction_m=parts.max_depth_m)
    if changed != preset:
        equal = (other.name for other in PROTOCOLS.values() if replace(changed, name=other.name) == other)
        changed = replace(changed, name=next(equal, "custom"))
    return replace(changed, alignment=parts.alignment, flip_tta=parts.flip_tta or preset.flip_tta, focal=parts.focal)


def _range(limits_m: tuple[float, float]) -> str:
    """Write a range so that any two floats are told apart, as repr does."""
    low, high = (repr(float(value)).removesuffix(".0") for value in limits_m)
    return f"{low}-{high}m"


def _crop_slices(crop: Crop, height: int, width: int) -> tuple[slice, slice]:
    """Return the rows and columns of a (height, width) frame that a crop keeps; whole frames for those without one."""
    whole = int if crop in _TRUNCATED else round
    top, bottom, left, right = _SHARES.get(crop, (0.0, 1.0, 0.0, 1.0))
    return slice(whole(top * height), whole(bottom * height)), slice(whole(left * width), whole(right * width))


@lru_cache(maxsize=1)
def _fastdepth_indices() -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the rows and columns of 480x640 that remain after two resizes by nearest neighbour and the crop."""
    rows, columns = (
        _nearest(full, shrunk)[corner : corner + centre][_nearest(centre, size)]
        for full, shrunk, corner, centre, size in _FASTDEPTH
    )
    return rows, columns


def _nearest(source: int, target: int) -> NDArray[np.intp]:
    """Return the source index of each target pixel's centre, as PIL's nearest neighbour takes it: ties by its sums."""
    step = source / target
    return np.cumsum([step / 2, *[step] * (target - 1)]).astype(np.intp)
