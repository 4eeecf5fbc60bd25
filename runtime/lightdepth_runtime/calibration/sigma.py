"""Fit sigma's factor to the errors that depth has once it is calibrated, so that the 95 % interval holds 95 %."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sigma import MAX_SIGMA, laplace_quantile

__all__ = ["INTERVAL", "SigmaFit", "fit_sigma_factor", "quantile"]

Sigmas = NDArray[np.float64]  # |log prediction - log truth| / sigma of a group's pixels, (N,)

INTERVAL = 0.95
SMALLEST_FACTOR = 1e-3  # where depth is exact, as in a made-up scene


@dataclass(frozen=True)
class SigmaFit:
    """The factor, and which part of the pixels has its truth inside the 95 % interval, before and after.

    The groups that judge it are those that judge depth. `kept_before` says that the fitted factor came no nearer to
    95 % there, so that the model's own stays. `median` is the middle sigma of the pixels that judge, with the factor.
    """

    factor: float
    coverage_before: float
    coverage_after: float
    kept_before: bool
    median: float

    def describe(self) -> str:
        """Say in a few words what became of the 95 % interval."""
        before, after = 100 * self.coverage_before, 100 * self.coverage_after
        text = f"{before:.1f} % of the pixels lay in the 95 % interval before, {after:.1f} % after"
        if self.kept_before:
            text = f"{text} (sigma keeps its factor: no other came nearer)"
        if self.median > MAX_SIGMA:
            text = (
                f"{text}; half of the pixels have a sigma over {MAX_SIGMA}, so infer leaves them out of points: give "
                "it a larger --max-sigma"
            )
        return text


def fit_sigma_factor(
    fitting: Sequence[Sigmas], judges: Sequence[Sigmas], judges_before: Sequence[Sigmas], previous: float, middle: float
) -> SigmaFit:
    """Return the factor whose interval holds 95 % of the pixels, every group counting the same.

    Args:
        fitting: how far the pixels of each group to fit on are off once depth is calibrated, in the network's sigmas.
        judges: the same of those that judge.
        judges_before: the same with the depth that the model had before.
        previous: its factor before.
        middle: the median sigma of the pixels that judge.
    """
    before = _coverage(judges_before, previous)
    fitted = max(SMALLEST_FACTOR, quantile(fitting, INTERVAL) / laplace_quantile(INTERVAL))
    candidates = {factor: _coverage(judges, factor) for factor in (fitted, previous)}
    factor = min(candidates, key=lambda factor: abs(candidates[factor] - INTERVAL))
    return SigmaFit(factor, before, candidates[factor], kept_before=factor != fitted, median=factor * middle)


def quantile(values: Sequence[NDArray[np.float64]], share: float) -> float:
    """Return the value under which a share of all values lies, every group of them (N,) counting the same."""
    joined, weights = np.concatenate(values), np.concatenate([np.full(len(group), 1 / len(group)) for group in values])
    order = np.argsort(joined)
    sums = np.cumsum(weights[order])
    return float(joined[order[np.searchsorted(sums, share * sums[-1])]])


def _coverage(groups: Sequence[Sigmas], factor: float) -> float:
    """Return the part of the pixels inside the interval, every group counting the same."""
    widest = factor * laplace_quantile(INTERVAL)
    return float(np.mean([np.mean(group <= widest) for group in groups]))
