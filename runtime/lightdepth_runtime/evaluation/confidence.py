"""Is a model's sigma worth something? Whether it finds the errors, and whether they are as large as it says."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..sigma import laplace_quantile

__all__ = ["Confidence", "ConfidenceSums"]

# Sigma in metres is sorted into this many steps of its logarithm: pixels of many images are never held at once.
BINS = 2048
LOWEST_M, HIGHEST_M = 1e-4, 1e3
SHARES = np.linspace(0.01, 1, 100)  # of the pixels that are kept
BEST_SHARE = 0.8
INTERVALS = (0.68, 0.95)


@dataclass(frozen=True)
class Confidence:
    """How well sigma tells errors, over all pixels of all images.

    `ause_m`: area between the RMSE of what is left when pixels are taken away by falling sigma and by falling error, in
    metres (Ilg et al. 2018, not normalised); 0 is as good as knowing the errors. `rmse_best_80_m`: RMSE of the most
    certain 80 % of the pixels. `worst_20_share`: part of the squared error that the least certain 20 % hold.
    `coverage_68`, `coverage_95`: part of the pixels whose truth lies in that interval around the log depth.
    """

    ause_m: float
    rmse_best_80_m: float
    worst_20_share: float
    coverage_68: float
    coverage_95: float
    pixels: int


class ConfidenceSums:
    """Takes pixels image by image; keeps histograms of sigma and of the errors."""

    def __init__(self) -> None:
        self._by_sigma = np.zeros((2, BINS))  # pixels, and their squared errors
        self._by_error = np.zeros((2, BINS))
        self._inside = np.zeros(len(INTERVALS), np.int64)

    def add(self, predicted_m: NDArray[np.float64], truth_m: NDArray[np.float64], sigma: NDArray[np.floating]) -> None:
        """Add pixels (N,): depth and truth in metres, and sigma, relative."""
        error_m = np.abs(predicted_m - truth_m)
        for histogram, values in ((self._by_sigma, sigma * predicted_m), (self._by_error, error_m)):
            bins = _bins(values)
            histogram[0] += np.bincount(bins, minlength=BINS)
            histogram[1] += np.bincount(bins, weights=error_m**2, minlength=BINS)
        log_error = np.abs(np.log(predicted_m) - np.log(truth_m))
        self._inside += [np.count_nonzero(log_error <= laplace_quantile(share) * sigma) for share in INTERVALS]

    def merge(self, other: "ConfidenceSums") -> None:
        """Add what another took."""
        self._by_sigma += other._by_sigma
        self._by_error += other._by_error
        self._inside += other._inside

    def result(self) -> Confidence | None:
        """Return the figures; None where no pixel was added."""
        pixels = int(self._by_sigma[0].sum())
        if not pixels:
            return None
        squared = self._by_sigma[1].sum()
        by_sigma, by_error = (_squared_of_best(histogram, SHARES) for histogram in (self._by_sigma, self._by_error))
        ause = np.mean((np.sqrt(by_sigma) - np.sqrt(by_error)) / np.sqrt(SHARES * pixels))
        (best,) = _squared_of_best(self._by_sigma, np.array([BEST_SHARE]))
        worst = 1 - best / squared if squared > 0 else 0.0
        rmse_best = np.sqrt(best / (BEST_SHARE * pixels))
        low, high = (float(count / pixels) for count in self._inside)
        return Confidence(float(ause), float(rmse_best), float(worst), low, high, pixels)


def _bins(values_m: NDArray[np.floating]) -> NDArray[np.intp]:
    place = np.log(np.maximum(values_m, LOWEST_M) / LOWEST_M) / np.log(HIGHEST_M / LOWEST_M)
    return np.minimum(place * BINS, BINS - 1).astype(np.intp)


def _squared_of_best(histogram: NDArray[np.float64], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the squared error of shares of the pixels with the lowest values; within a bin it is spread evenly."""
    pixels, squared = np.cumsum(np.pad(histogram, ((0, 0), (1, 0))), axis=1)
    return np.interp(shares * pixels[-1], pixels, squared)
