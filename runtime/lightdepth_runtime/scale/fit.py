"""Fit an image's correction to known points: shrunk where they say little, deaf to points that are wrong."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from .correction import TERMS, CorrectionKind, DepthCorrection, basis
from .points import KnownPoints, PointsLike

__all__ = [
    "LARGEST_SCALE",
    "PRIOR",
    "ScalePrior",
    "cells_of",
    "correct",
    "fit_correction",
    "fit_scale",
    "is_possible",
    "log_ratio",
]

# How far the first `lite0` was off, as standard deviations of log(truth / depth): `benchmarks/live_scale.py --prior`.
# Scale and shape lie between NYU training pairs (0.07, 0.08) and TUM frames that are no test (0.25, 0.23).
SCALE_STD = 0.15  # of an image's overall scale
SHAPE_STD = 0.10  # of the longest wave over the image; shorter ones are weaker in proportion
# What no wave explains is 0.10 on both; a single point may stand on an edge, so the first few are believed less.
LOCAL_STD = 0.25
LOCAL_STD_WORTH = 4  # points that this guess of the local error counts as, until the points themselves tell it

TAIL = 3.0  # degrees of freedom of Student's t: errors far out, as outliers, have little say
STEPS = 12
OUTLIER_WEIGHT = 0.25  # a point of less weight disagrees: it is more than about 3.6 local errors away
FEWEST_TO_JUDGE = 6  # each point is judged by the others, so that few can't tell
LARGEST_SCALE = 8.0  # no camera is so far off, so a point that is has no say; millimetres are a thousand times
FEWEST_TO_REFUSE = 3  # one or two wrong points are no more than outliers
CELLS_ACROSS, CELLS_DOWN = 16, 12  # points in one cell see the same error: together they count as one
NEAREST_LOG = 1e-3  # metres: what a network may say at the least, so that it has a logarithm
# For points judged by the others: distances drawn at random are at 0.4, right ones with outliers at 0.1 to 0.3.
MOST_ABS_REL = 0.35
CLIPPED = 0.5  # of a relative error: outliers must not decide whether the others agree


@dataclass(frozen=True)
class ScalePrior:
    """What is believed of an image's scale before its points are seen: its logarithm and the uncertainty of that."""

    log_scale: float = 0.0
    log_std: float = SCALE_STD


PRIOR = ScalePrior()


@dataclass(frozen=True, eq=False)
class _Fit:
    """Coefficients with their covariance, the points' weights (N,), and each point's error by the others alone (N,)."""

    coefficients: NDArray[np.float64]
    covariance: NDArray[np.floating]
    trust: NDArray[np.float64]
    left_out: NDArray[np.float64]


def fit_correction(
    depth_m: NDArray[np.float32], points: PointsLike | KnownPoints, *, prior: ScalePrior = PRIOR
) -> DepthCorrection:
    """Fit what corrects a depth map to known points.

    Bayesian linear regression of log(known / depth) on low-order cosines over the image, with normal priors and errors
    of Student's t distribution, by iteratively reweighted least squares (Lange, Little and Taylor 1989). The priors
    shrink the correction towards none: one point moves the scale by a part of its disagreement. From six points on,
    each is predicted from the others, and the scale alone, or nothing, takes the place of a correction that doesn't
    bring them nearer.

    Args:
        depth_m: the model's depth (H, W) of the whole image.
        points: `(x, y, metres along the optical axis)` in pixels of a W x H image.
        prior: what is believed of the scale already.

    Raises:
        LightDepthError: points that `KnownPoints.read` refuses, depth there that is not positive and finite, three
            points and more that mean another unit, or six and more that agree with nothing.
    """
    height, width = depth_m.shape
    known = KnownPoints.read(points, height, width)
    if len(known) == 0:
        return _from_prior(prior)
    ratio = log_ratio(depth_m, known)
    waves = basis(*known.places(height, width))  # (N, terms)
    _check_units(ratio)
    possible = is_possible(ratio)
    if not possible.any():
        return _from_prior(prior, tuple(range(len(known))))
    cell = cells_of(known, height, width)
    share = possible / np.bincount(cell)[cell]  # how much each point counts, (N,): all of one cell together as one
    smooth = _fit(waves, ratio, share, prior)
    scale = _fit(waves[:, :1], ratio, share, prior)
    rejected = tuple(int(number) for number in np.flatnonzero((smooth.trust < OUTLIER_WEIGHT) | ~possible))
    judged: dict[CorrectionKind, float] = {
        "smooth": _abs_rel(smooth.left_out),
        "scale": _abs_rel(scale.left_out),
        "none": _abs_rel(ratio - prior.log_scale),
    }
    chosen: CorrectionKind = "smooth"
    if len(known) >= FEWEST_TO_JUDGE:
        chosen = min(judged, key=judged.__getitem__)
        if judged[chosen] > MOST_ABS_REL:
            raise LightDepthError(
                f"The {len(known)} known points agree neither with the image nor with each other: each is off by "
                f"{judged[chosen]:.0%} of what the others say. Check that they are (x, y, metres) of this very image."
            )
    if chosen == "none":
        return _from_prior(prior, rejected)
    fit = smooth if chosen == "smooth" else scale
    return DepthCorrection(
        chosen,
        tuple(fit.coefficients.tolist()),
        float(np.sqrt(fit.covariance[0, 0])),
        len(known) - len(rejected),
        rejected,
        judged["none"] if len(known) >= FEWEST_TO_JUDGE else None,
        judged[chosen] if len(known) >= FEWEST_TO_JUDGE else None,
    )


def correct(depth_m: NDArray[np.float32], points: PointsLike, height: int, width: int) -> NDArray[np.float32]:
    """Correct depth (h, w) in place by known points of its image of (height, width); returns the same array."""
    known = KnownPoints.read(points, height, width)
    return fit_correction(depth_m, known.resized((height, width), depth_m.shape)).apply(depth_m)


def _check_units(ratio: NDArray[np.float64]) -> None:
    """Refuse points that mean another unit or another image; one or two may be stray readings."""
    typical = float(np.exp(np.median(ratio)))
    if len(ratio) >= FEWEST_TO_REFUSE and not 1 / LARGEST_SCALE < typical < LARGEST_SCALE:
        raise LightDepthError(
            f"The {len(ratio)} known points are {typical:.2g} times the estimated depth; check that they are "
            "(x, y, metres) of this very image."
        )


def is_possible(log_ratios: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points (N,) a camera may be off by: a tape measure in centimetres is none of them."""
    return np.abs(log_ratios) < math.log(LARGEST_SCALE)


def fit_scale(log_ratios: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Return the logarithm of the scale that weighted points (N,) of several images share, and its uncertainty."""
    fit = _fit(np.ones((len(log_ratios), 1)), log_ratios, weights, PRIOR)
    return float(fit.coefficients[0]), float(np.sqrt(fit.covariance[0, 0]))


def _from_prior(prior: ScalePrior, rejected: tuple[int, ...] = ()) -> DepthCorrection:
    if prior.log_scale == 0:
        return DepthCorrection("none", log_std=prior.log_std, rejected=rejected)
    return DepthCorrection("scale", (prior.log_scale,), prior.log_std, rejected=rejected)


def log_ratio(depth_m: NDArray[np.float32], known: KnownPoints) -> NDArray[np.float64]:
    """Return log(known / depth) at the points' nearest pixels, (N,)."""
    height, width = depth_m.shape
    columns = np.clip(np.rint(known.x), 0, width - 1).astype(np.intp)
    rows = np.clip(np.rint(known.y), 0, height - 1).astype(np.intp)
    estimated = depth_m[rows, columns].astype(np.float64)
    if not (np.isfinite(estimated) & (estimated > 0)).all():
        raise LightDepthError("The model's depth at a known point is not positive and finite; export it again in FP32.")
    return np.log(known.depth_m) - np.log(np.maximum(estimated, NEAREST_LOG))


def cells_of(known: KnownPoints, height: int, width: int) -> NDArray[np.intp]:
    """Return the number of the cell of the image that each point lies in, (N,)."""
    across, down = known.places(height, width)
    return (down * CELLS_DOWN).astype(np.intp) * CELLS_ACROSS + (across * CELLS_ACROSS).astype(np.intp)


def _fit(
    waves: NDArray[np.float64], log_ratio: NDArray[np.float64], share: NDArray[np.float64], prior: ScalePrior
) -> _Fit:
    """Fit `terms` coefficients to N points: waves (N, terms)."""
    strength = np.array([i + j for i, j in TERMS[: waves.shape[1]]])
    precision = (np.maximum(strength, 1) / SHAPE_STD) ** 2  # (terms,)
    precision[0] = prior.log_std**-2
    target = log_ratio - prior.log_scale
    trust, variance = np.ones(len(target)), LOCAL_STD**2
    coefficients, covariance = np.zeros(len(precision)), np.diag(1 / precision)
    for _ in range(STEPS):
        weight = share * trust / variance
        covariance = np.linalg.inv((waves * weight[:, None]).T @ waves + np.diag(precision))
        coefficients = covariance @ (waves.T @ (weight * target))
        error = target - waves @ coefficients
        variance = (LOCAL_STD_WORTH * LOCAL_STD**2 + share @ (trust * error**2)) / (LOCAL_STD_WORTH + share.sum())
        trust = (TAIL + 1) / (TAIL + error**2 / variance)
    # What a point pulls the fit towards itself: the diagonal of the hat matrix gives the error without the point.
    pull = np.einsum("ij,jk,ik->i", waves, covariance, waves) * share * trust / variance  # (N,)
    left_out = (target - waves @ coefficients) / (1 - np.minimum(pull, 0.99))
    coefficients = coefficients.copy()
    coefficients[0] += prior.log_scale
    return _Fit(coefficients, covariance, trust, left_out)


def _abs_rel(log_error: NDArray[np.float64]) -> float:
    bounded = np.clip(-log_error, -1, 1)  # beyond the clip either way, and no overflow
    return float(np.minimum(np.abs(np.expm1(bounded)), CLIPPED).mean())  # |estimated / known - 1|
