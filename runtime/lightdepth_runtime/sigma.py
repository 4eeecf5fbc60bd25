"""What a model's sigma says: how likely depth is right, and which pixels it is too unsure of."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError

__all__ = ["MAX_SIGMA", "check_max_sigma", "confidence_of", "laplace_quantile", "without_unsure"]

# Points of pixels past it float between things and what is behind them, while whole things keep standing: at 0.3 most
# of a person went too (docs/evaluation.md).
MAX_SIGMA = 0.4
WITHIN = 1.25  # the factor of the field's delta1
SMALLEST_SIGMA = 1e-6


def check_max_sigma(max_sigma: float) -> None:
    """Refuse a threshold that isn't positive; infinity keeps every pixel.

    Raises:
        LightDepthError: what it says.
    """
    if not max_sigma > 0:
        raise LightDepthError(f"The largest sigma is a positive number like {MAX_SIGMA} (40 %), got {max_sigma}.")


def without_unsure(
    depth_m: NDArray[np.float32], sigma: NDArray[np.float32] | None, max_sigma: float
) -> NDArray[np.float32]:
    """Return depth (H, W) with NaN where sigma (H, W) is past the threshold; depth itself where none is."""
    if sigma is None:
        return depth_m
    is_unsure = ~(sigma <= max_sigma)  # NaN is unsure too
    return np.where(is_unsure, np.float32(np.nan), depth_m) if is_unsure.any() else depth_m


def confidence_of(sigma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the probability that depth is within a factor of 1.25 of the truth: 1 - exp(-log 1.25 sqrt(2) / sigma).

    Log depth errs by a Laplace distribution whose standard deviation is sigma (`ModelSpec`).
    """
    return -np.expm1(np.float32(-math.log(WITHIN) * math.sqrt(2)) / np.maximum(sigma, np.float32(SMALLEST_SIGMA)))


def laplace_quantile(share: float) -> float:
    """Return how many sigmas hold this share of a Laplace distribution: P(|e| < x) = 1 - exp(-x sqrt(2) / sigma)."""
    return float(-np.log1p(-share) / np.sqrt(2))
