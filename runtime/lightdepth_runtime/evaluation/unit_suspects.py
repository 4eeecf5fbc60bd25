"""Tell a wrong unit of depth from the values themselves and from what the shipped model sees."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..images.preprocess import resize_depth
from ..pairs import Pair, PairSet, parse_depth_unit
from ..pairs.depth_unit import MILLIMETRES_PER_METRE, NAMED_UNITS, decode_depth
from ..pairs.file_pair import FilePair
from ..pairs.pair import indices_by_scene, spread_indices
from .prediction import Predictor

__all__ = [
    "KNOWN_MISTAKES",
    "MixedUnits",
    "UnitSuspect",
    "find_suspect",
    "nearest_mistake",
    "print_warning",
    "suspect_unit",
    "warn_of_unit",
]

# By what factor depth is too large where it is read in the wrong unit: RealSense's 0.25, 0.125 and 0.1 mm, TUM's
# 0.2 mm, NICE-SLAM's 10 m / 65535, bytes of 10 m / 255 and their inverse, KITTI's 1/256 m, centimetres, metres for
# millimetres.
KNOWN_MISTAKES = (0.001, 0.01, 0.0255, 0.1, 0.256, 4.0, 5.0, 6.5535, 8.0, 10.0, 25.5, 39.2, 100.0, 1000.0)
_MULTIPLES = (10, 8, 5, 4)
_MOST_PAIRS = 12
_LEAST_OF_SCENE = 3  # pairs of it, to hold it against another
_MIXED = 3.0  # times: the model's own scale differs by less between two scenes
_ALL = 0.99  # of the values: sensors that measure far wrap SUN RGB-D's rotated bits
_MOST_BEYOND = 0.3  # of the readings
_WITNESS_RANGE_M = 10.0
_PLAUSIBLE_MEDIAN_M = 0.4  # and more, where no model can be asked
_NAMES = {unit.per_metre: name for name, unit in reversed(NAMED_UNITS.items()) if name not in ("densedepth", "sunrgbd")}


@dataclass(frozen=True)
class UnitSuspect:
    """Depth seems `factor` times too large; it is `certain` by two signs, or by one where nothing is declared."""

    factor: float
    reasons: tuple[str, ...]
    unit: str | None
    per_metre: float
    certain: bool
    is_packed: bool = False  # decoded already: another unit is declared by packing it anew

    def describe(self) -> str:
        """Say it in one line, with the way out."""
        size = f"{self.factor:g} times too large" if self.factor > 1 else f"{1 / self.factor:.3g} times too small"
        right = self.per_metre * self.factor
        name = f" ({_NAMES[right]})" if right in _NAMES else ""
        other = ", or sunrgbd if its bits are rotated" if right == 8000 else ""
        taken = f"declared as {self.unit}" if self.unit else f"taken as {_NAMES.get(self.per_metre, self.per_metre)}"
        mend = "Declare another --depth-scale" if self.unit else "Declare the unit with --depth-scale"
        mend = "Pack it again with `lightdepth data pack` and --depth-scale" if self.is_packed else mend
        keep = "" if self.unit else f", or --depth-scale {_NAMES.get(self.per_metre, self.per_metre)} if it is right"
        return f"Depth, {taken}, looks {size}: {' and '.join(self.reasons)}. {mend} {right:g}{name}{other}{keep}."


@dataclass(frozen=True)
class MixedUnits:
    """One scene's depth seems `factor` times as large as another's, held against what the model sees of both."""

    large: str
    small: str
    factor: float
    certain: bool

    def describe(self) -> str:
        """Say it in one line, with the way out."""
        keep = ", or declare --depth-scale for all if they have one" if self.certain else ""
        return (
            f"Depth of scene {self.large} looks {self.factor:.2g} times as large as that of {self.small}: two units in "
            "one set? Write a list of each scene with its own unit (`lightdepth data list DIR --depth-scale UNITS -o "
            f"LIST`) and join the lists in one file{keep}."
        )


@dataclass(frozen=True)
class _Sample:
    """What a few pairs show."""

    multiple: int | None  # that all stored whole numbers are of
    beyond: float  # share of the readings
    median_m: float
    ratio: float | None  # of truth to the witness's depth
    scenes: dict[str, list[float]]  # the same ratio, of each scene's pairs


def suspect_unit(
    pairs: PairSet, witness: Predictor | None, *, max_depth_m: float = 10.0
) -> UnitSuspect | MixedUnits | None:
    """Look at a few pairs, evenly spread; return what is wrong with their unit, or None.

    Args:
        pairs: their declared units are believed unless two signs speak against them.
        witness: uint8 RGB (H, W, 3) -> metres; the shipped model, for rooms up to 10 m; None where it can't run.
        max_depth_m: how far the scenes reach.
    """
    sample = _look_at(pairs, witness, max_depth_m)
    if sample is None:
        return None
    units = {pair.depth_unit for pair in pairs.pairs}
    unit = next(iter(units)) if len(units) == 1 else None
    is_declared = None not in units
    if len(units) == 1 and max_depth_m <= _WITNESS_RANGE_M and (mixed := _find_mixed(sample, certain=not is_declared)):
        return mixed
    per_metre = parse_depth_unit(unit).per_metre if unit else _stored_per_metre(pairs)
    is_packed = pairs.packaging.startswith("packed")
    suspect = partial(UnitSuspect, unit=unit, per_metre=per_metre, is_packed=is_packed)
    multiple, ratio = sample.multiple, sample.ratio
    multiples = f"all values are multiples of {multiple}"
    seen = f"the shipped model sees {1 / ratio:.2g} times that" if ratio else ""
    is_beyond = sample.beyond > _MOST_BEYOND
    if multiple and ratio and abs(math.log(ratio / multiple)) < abs(math.log(ratio)):
        return suspect(float(multiple), (multiples, seen), certain=True)
    if multiple and ratio is None and not is_declared and sample.median_m / multiple > _PLAUSIBLE_MEDIAN_M:
        reasons = (multiples, f"their median would be {sample.median_m:.2g} m")
        return suspect(float(multiple), reasons, certain=is_beyond)
    mistake = nearest_mistake(ratio) if ratio else None
    beyond = f"{sample.beyond:.0%} of the readings are beyond {max_depth_m:g} m"
    # A model of rooms can't judge a street. Where nothing is declared, depth beyond a room's is to be declared first.
    is_street = max_depth_m > _WITNESS_RANGE_M or (is_declared and sample.median_m > _WITNESS_RANGE_M)
    if mistake and not (mistake > 1 and is_street):
        reasons = (seen, beyond) if is_beyond else (seen,)
        return suspect(mistake, reasons, certain=not is_declared)
    if is_beyond and not is_declared:
        return suspect(5.0, (beyond,), certain=True)
    return None


def nearest_mistake(ratio: float, *, within: float = math.inf) -> float | None:
    """Return the known mistake that a ratio of depths is nearer to than to 1; None if there is none.

    `within` is the largest factor between the two that still counts.
    """
    best = min((1.0, *KNOWN_MISTAKES), key=lambda known: abs(math.log(ratio / known)))
    return None if best == 1.0 or abs(math.log(ratio / best)) > math.log(within) else best


def find_suspect(pairs: PairSet, *, max_depth_m: float = 10.0) -> UnitSuspect | MixedUnits | None:
    """Do what `suspect_unit` does, with the shipped model where it can run."""
    try:
        witness = DepthEstimator.load(device="cpu")
    except LightDepthError:
        return suspect_unit(pairs, None, max_depth_m=max_depth_m)
    with witness:
        return suspect_unit(pairs, witness, max_depth_m=max_depth_m)


def print_warning(text: str) -> None:
    """Print on stderr, so that what is piped elsewhere stays clean."""
    print(text, file=sys.stderr)


def warn_of_unit(pairs: PairSet, say: Callable[[str], object] = print_warning, *, max_depth_m: float = 10.0) -> None:
    """Say in one line that the unit of depth looks wrong, where it does."""
    suspect = find_suspect(pairs, max_depth_m=max_depth_m)
    if suspect is not None:
        say(f"Warning: {suspect.describe()}")


def _find_mixed(sample: _Sample, *, certain: bool) -> MixedUnits | None:
    """Compare the scenes of which several pairs were seen; no pair of the one may be as near as one of the other."""
    scenes = [(float(np.median(found)), name) for name, found in sample.scenes.items() if len(found) >= _LEAST_OF_SCENE]
    if len(scenes) < 2:
        return None
    (least, small), (most, large) = min(scenes), max(scenes)
    if most / least < _MIXED or min(sample.scenes[large]) <= max(sample.scenes[small]):
        return None
    return MixedUnits(large, small, most / least, certain)


def _sampled(pairs: PairSet) -> PairSet:
    """Return a few pairs, evenly spread; of a few scenes as many each, however long they are."""
    scenes = indices_by_scene(pairs)
    each = _MOST_PAIRS // max(1, len(scenes))
    if each < _LEAST_OF_SCENE:
        return pairs.spread(_MOST_PAIRS)
    return pairs.subset(
        [found[place] for found in scenes.values() for place in spread_indices(len(found), each)], pairs.split
    )


def _look_at(pairs: PairSet, witness: Predictor | None, max_depth_m: float) -> _Sample | None:
    divided = np.zeros(len(_MULTIPLES), np.int64)  # values that are multiples
    whole = readings = beyond = 0
    medians: list[float] = []
    scenes: dict[str, list[float]] = {}
    for pair in _sampled(pairs).pairs:
        try:
            image, depth_m, stored = _read(pair)
        except LightDepthError:  # whoever reads it for its own sake says so
            if not isinstance(pair, FilePair):
                return None  # its shard holds the others too, and at a URL each try of it takes a while
            continue
        valid = depth_m > 0
        if not valid.any():
            continue
        if stored is not None:
            values = stored[valid]
            whole += values.size
            divided += [np.count_nonzero(values % multiple == 0) for multiple in _MULTIPLES]
        known = depth_m[valid]
        readings += known.size
        beyond += int(np.count_nonzero(known >= max_depth_m))
        medians.append(float(np.median(known)))
        if witness is not None:
            predicted = resize_depth(witness(image), *depth_m.shape)[valid]
            scenes.setdefault(pair.scene, []).append(float(np.median(known / predicted)))
    if not readings:
        return None
    multiple = next((_MULTIPLES[i] for i, count in enumerate(divided) if whole and count >= _ALL * whole), None)
    ratios = [ratio for found in scenes.values() for ratio in found]
    ratio = float(np.median(ratios)) if ratios else None
    return _Sample(multiple, beyond / readings, float(np.median(medians)), ratio, scenes)


def _read(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.integer] | None]:
    """Return image, depth in metres and, of files of whole numbers, depth as it is stored."""
    if not isinstance(pair, FilePair):
        frame = pair.read()
        return frame.image, frame.depth_m, None
    image, values = pair.read_stored()
    is_whole = np.issubdtype(values.dtype, np.integer) and values.dtype != np.uint8
    rotated = pair.unit is not None and pair.unit.rotated
    return image, decode_depth(values, pair.unit), values.astype(np.int64) if is_whole and not rotated else None


def _stored_per_metre(pairs: PairSet) -> float:
    """Return the units per metre that undeclared files are taken to have."""
    first = pairs.pairs[0]
    if isinstance(first, FilePair):
        with suppress(LightDepthError):
            if np.issubdtype(first.read_stored()[1].dtype, np.floating):
                return 1.0
    return MILLIMETRES_PER_METRE
