"""Fit a model's scale to known distances, and find out on distances kept aside whether that helped."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..images.decode import read_image
from ..infer.lens import Lens
from ..pairs import Pair, PairSet
from ..pairs.pair import scenes_of, spread_indices
from ..spec import DepthCalibration
from .sigma import SigmaFit, Sigmas, fit_sigma_factor, quantile

__all__ = ["CalibrationReport", "DepthGroup", "KnownDistance", "calibrate", "groups_of_pairs", "groups_of_points"]

MIN_GROUPS_TO_KEEP_ASIDE = 6  # then two or more judge; with fewer, every one is needed for the fit
KEEP_EVERY = 3  # each third group is kept aside
MIN_GROUPS_FOR_SLOPE = 4  # to be fitted on, so that leaving one out still leaves three
MIN_GAIN_OF_SLOPE = 0.02  # of the error left by scale alone: a second number must earn its place
SLOPE_RANGE = (0.5, 2.0)  # outside it the data doesn't fit the network, and extrapolation would be wild
MIN_SPREAD_FOR_SLOPE = 1.2  # far / near of the predictions (90th over 10th percentile); else a slope is a guess
MOST_PIXELS = 2000  # of a pair: as many as tell its scale, and every pair counts the same
LEAST_ABSOLUTE_STEPS = 30
SMALLEST_RESIDUAL = 1e-6


@dataclass(frozen=True)
class KnownDistance:
    """A pixel of an image file and the metres along the camera's axis of what it shows."""

    image: Path
    x: int
    y: int
    depth_m: float


@dataclass(frozen=True)
class DepthGroup:
    """Predictions and truths (N,) that stand or fall together: the pixels of a scene or pair, or one known distance.

    `sigma` (N,) is the network's own, of pairs and models that have it.
    """

    name: str
    predicted_m: NDArray[np.float64]
    truth_m: NDArray[np.float64]
    sigma: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class CalibrationReport:
    """What was fitted, and the mean of each group's |predicted - truth| / truth before and after.

    The errors are those of the groups kept aside, or, where there were too few to keep any, those of the fitted ones,
    which say nothing of others (`held_out` is 0).
    """

    calibration: DepthCalibration
    fitted: int
    held_out: int
    abs_rel_before: float
    abs_rel_after: float
    factor: float  # of the calibrated depth to the model's own, at the median of what was predicted
    sigma: SigmaFit | None = None  # of models with sigma, where pairs were given

    @property
    def made_worse(self) -> bool:
        """Whether the groups kept aside are further from the truth than before."""
        return self.held_out > 0 and self.abs_rel_after > self.abs_rel_before

    def describe(self) -> str:
        """Say in one line whether it helped."""
        change = f"abs_rel {self.abs_rel_before:.4f} before, {self.abs_rel_after:.4f} after"
        if self.sigma is not None:
            change = f"{change}; {self.sigma.describe()}"
        if not self.held_out:
            return f"{change}, on the {self.fitted} that it was fitted on: too few to keep some aside and judge by them"
        verdict = "it helped" if self.abs_rel_after < self.abs_rel_before else "it did not help"
        return f"{change}, on {self.held_out} kept aside of {self.held_out + self.fitted}: {verdict}"


def calibrate(groups: Sequence[DepthGroup], previous: DepthCalibration | None, fitted_on: str) -> CalibrationReport:
    """Fit scale, or scale and slope in log depth where that is better on groups left out of the fit.

    With 6 groups or more each third is kept aside to judge by. Scale is the median of truth / prediction, every group
    counting the same; scale and slope are the least absolute deviations of log depth. Sigma's factor is fitted to the
    errors that are left, on the groups with sigma; without any the model keeps its own.

    Args:
        groups: the uncalibrated model's depth and the truth.
        previous: the calibration that the model has, for the error before.
        fitted_on: what the groups are, for the record.

    Raises:
        LightDepthError: no groups, or depth that is not positive and finite.
    """
    if not groups:
        raise LightDepthError("A calibration needs at least one known distance; give --at or --data.")
    for group in groups:
        for values in (group.predicted_m, group.truth_m, *([] if group.sigma is None else [group.sigma])):
            if not (np.isfinite(values) & (values > 0)).all():
                raise LightDepthError(
                    f"{group.name}: distances and the model's depth and sigma must be positive and finite."
                )
    kept_aside = list(groups[KEEP_EVERY - 1 :: KEEP_EVERY]) if len(groups) >= MIN_GROUPS_TO_KEEP_ASIDE else []
    fitting = [group for index, group in enumerate(groups) if not kept_aside or index % KEEP_EVERY != KEEP_EVERY - 1]
    fit = _fit_scale_and_slope if _slope_helps(fitting) else _fit_scale
    scale, exponent = fit(fitting)
    judges = kept_aside or fitting
    middle_m = float(np.median(np.concatenate([group.predicted_m for group in fitting])))
    before = previous or DepthCalibration(1.0)
    after = DepthCalibration(scale, exponent, fitted_on, before.sigma_factor)
    sigma = _fit_sigma(fitting, judges, before, after)
    calibration = after if sigma is None else replace(after, sigma_factor=sigma.factor)
    return CalibrationReport(
        calibration,
        len(fitting),
        len(kept_aside),
        _abs_rel(judges, (before.scale, before.exponent)),
        _abs_rel(judges, (scale, exponent)),
        scale * middle_m ** (exponent - 1),
        sigma,
    )


def groups_of_points(
    backend: Backend, points: Sequence[KnownDistance], focal_px: float | None = None
) -> list[DepthGroup]:
    """Predict each point's depth; one group a point. The model's calibration is left out.

    An image's focal length in EXIF counts where `focal_px` isn't given, as `infer` will take it.

    Raises:
        LightDepthError: an image that can't be read, a point outside it, or `focal_px` for a model that doesn't know
            its own.
    """
    estimator, seen, groups = DepthEstimator(_Uncalibrated(backend)), {}, []
    for point in points:
        if point.image not in seen:
            image = read_image(point.image)
            lens = Lens(focal_px, exif=backend.spec.intrinsics is not None)
            photograph = lens.of_photograph(point.image, image)
            seen[point.image] = estimator(image), focal_px if photograph is None else photograph[0].fx
        depth_m, own_focal_px = seen[point.image]
        height, width = depth_m.shape
        name = f"{point.image},{point.x},{point.y}"
        if not (0 <= point.x < width and 0 <= point.y < height):
            raise LightDepthError(f"{name} is outside the image, which is {width}x{height}.")
        predicted = depth_m[point.y : point.y + 1, point.x].astype(np.float64)  # (1,)
        # The focal length's factor comes after the calibration, so the truth that the fit sees is without it.
        factor = 1.0 if own_focal_px is None else estimator.depth_factor(own_focal_px, height, width)
        groups.append(DepthGroup(name, predicted, np.array([point.depth_m]) / factor))
    return groups


def groups_of_pairs(
    backend: Backend,
    pairs: PairSet,
    focal_px: float | None = None,
    *,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
    say: Callable[[str], object] = lambda _: None,
) -> list[DepthGroup]:
    """Predict each pair's pixels with a reading; one group a scene where there are enough scenes, else one a pair.

    The model's calibration is left out. How many pairs have no reading within the model's range is said.

    Raises:
        LightDepthError: a pair that can't be read, or none with a reading within the model's range.
    """
    estimator, spec = DepthEstimator(_Uncalibrated(backend)), backend.spec
    by_scene = len(scenes_of(pairs)) >= MIN_GROUPS_TO_KEEP_ASIDE
    collected: dict[str, list[NDArray[np.float64]]] = {}
    left_out = 0
    for pair in progress(pairs.pairs):
        frame = pair.read()
        valid = np.flatnonzero((frame.depth_m > spec.min_depth_m) & (frame.depth_m < spec.max_depth_m))
        if not len(valid):
            left_out += 1
            continue
        chosen = valid[spread_indices(len(valid), MOST_PIXELS)]
        depth_m, sigma = estimator.depth_and_sigma(frame.image)
        parts = [depth_m, frame.depth_m, *([] if sigma is None else [sigma])]
        factor = 1.0 if focal_px is None else estimator.depth_factor(focal_px, *frame.depth_m.shape)
        samples = np.stack([part.flat[chosen] for part in parts]).astype(np.float64)  # (2 or 3, N)
        samples[1] /= factor  # as in groups_of_points
        collected.setdefault(pair.scene if by_scene else pair.name, []).append(samples)
    if not collected:
        raise LightDepthError(f"No pair of {pairs.name} has a reading within the model's {spec.max_depth_m:g} m.")
    if left_out:
        say(
            f"{left_out} of {len(pairs)} pairs have no reading within the model's {spec.max_depth_m:g} m and were left "
            "out."
        )
    joined = {name: np.concatenate(parts, axis=1) for name, parts in collected.items()}  # (2 or 3, N) each
    return [DepthGroup(name, *samples) for name, samples in joined.items()]


class _Uncalibrated:
    """A backend under a spec without calibration; the caller's own keeps its."""

    def __init__(self, backend: Backend) -> None:
        self.spec = backend.spec.with_changes(calibration=None)
        self.name, self.device = backend.name, backend.device
        self.run, self.run_both, self.close = backend.run, backend.run_both, backend.close


def _fit_sigma(
    fitting: Sequence[DepthGroup], judges: Sequence[DepthGroup], before: DepthCalibration, after: DepthCalibration
) -> SigmaFit | None:
    """Fit sigma's factor; None where no group to fit on, or none to judge by, has sigma."""
    fitted, judging, judging_before = _misses(fitting, after), _misses(judges, after), _misses(judges, before)
    if not (fitted and judging):
        return None
    middle = float(np.median(np.concatenate([group.sigma for group in judges if group.sigma is not None])))
    return fit_sigma_factor(fitted, judging, judging_before, before.sigma_factor, middle)


def _misses(groups: Sequence[DepthGroup], calibration: DepthCalibration) -> list[Sigmas]:
    shift, slope = np.log(calibration.scale), calibration.exponent
    return [
        np.abs(shift + slope * np.log(group.predicted_m) - np.log(group.truth_m)) / group.sigma
        for group in groups
        if group.sigma is not None
    ]


def _slope_helps(groups: Sequence[DepthGroup]) -> bool:
    """Leave out each group in turn: is it predicted better by scale and slope than by scale alone?"""
    if len(groups) < MIN_GROUPS_FOR_SLOPE:
        return False
    near, far = np.percentile(np.concatenate([group.predicted_m for group in groups]), (10, 90))
    exponent = _fit_scale_and_slope(groups)[1]
    if far < MIN_SPREAD_FOR_SLOPE * near or not SLOPE_RANGE[0] <= exponent <= SLOPE_RANGE[1]:
        return False
    errors = np.array(
        [
            [_abs_rel([group], fit([other for other in groups if other is not group])) for group in groups]
            for fit in (_fit_scale, _fit_scale_and_slope)
        ]
    ).mean(axis=1)  # (2, groups) -> (2,)
    return bool(errors[1] < (1 - MIN_GAIN_OF_SLOPE) * errors[0])


def _fit_scale(groups: Sequence[DepthGroup]) -> tuple[float, float]:
    ratios = [np.log(group.truth_m) - np.log(group.predicted_m) for group in groups]
    low, high = (quantile(ratios, half) for half in (0.5 - 1e-9, 0.5 + 1e-9))
    return float(np.exp((low + high) / 2)), 1.0


def _fit_scale_and_slope(groups: Sequence[DepthGroup]) -> tuple[float, float]:
    """Fit log truth = shift + slope log prediction by iteratively reweighted least squares."""
    predicted = np.log(np.concatenate([group.predicted_m for group in groups]))
    truth = np.log(np.concatenate([group.truth_m for group in groups]))
    weights = np.concatenate([np.full(len(group.truth_m), 1 / len(group.truth_m)) for group in groups])
    shift, slope = 0.0, 1.0
    current = weights
    for _ in range(LEAST_ABSOLUTE_STEPS):
        mean, target = np.average(predicted, weights=current), np.average(truth, weights=current)
        variance = current @ (predicted - mean) ** 2
        slope = float(current @ ((predicted - mean) * (truth - target)) / variance) if variance > 0 else 1.0
        shift = float(target - slope * mean)
        current = weights / np.maximum(np.abs(truth - shift - slope * predicted), SMALLEST_RESIDUAL)
    return float(np.exp(shift)), slope


def _abs_rel(groups: Sequence[DepthGroup], fit: tuple[float, float]) -> float:
    scale, exponent = fit
    return float(np.mean([np.mean(np.abs(scale * g.predicted_m**exponent - g.truth_m) / g.truth_m) for g in groups]))
