from dataclasses import replace

import numpy as np
import pytest

from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.confidence import ConfidenceSums
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.sigma import laplace_quantile
from lightdepth_runtime.spec import ModelSpec


@pytest.fixture
def pixels():
    """Truth, depth with Laplace errors of log depth, and the sigma that they were drawn with."""
    rng = np.random.default_rng(0)
    sigma = np.exp(rng.uniform(np.log(0.02), np.log(0.5), 200_000))
    truth_m = rng.uniform(1, 8, sigma.size)
    return truth_m * np.exp(rng.laplace(0, sigma / np.sqrt(2))), truth_m, sigma


def figures(predicted_m, truth_m, sigma):
    sums = ConfidenceSums()
    half = len(sigma) // 2
    sums.add(predicted_m[:half], truth_m[:half], sigma[:half])
    other = ConfidenceSums()
    other.add(predicted_m[half:], truth_m[half:], sigma[half:])
    sums.merge(other)
    return sums.result()


def test_a_true_sigma_covers_what_its_intervals_say_and_finds_the_errors(pixels):
    predicted_m, truth_m, sigma = pixels
    got = figures(*pixels)
    assert got.pixels == 200_000
    assert got.coverage_68 == pytest.approx(0.68, abs=0.005)
    assert got.coverage_95 == pytest.approx(0.95, abs=0.005)
    order = np.argsort(sigma * predicted_m)
    squared = ((predicted_m - truth_m) ** 2)[order]
    best = squared[: int(0.8 * len(squared))]
    assert got.rmse_best_80_m == pytest.approx(np.sqrt(best.mean()), rel=0.01)
    assert got.worst_20_share == pytest.approx(1 - best.sum() / squared.sum(), abs=0.01)
    assert got.worst_20_share > 0.6


def test_a_sigma_that_knows_nothing_finds_a_fifth_of_the_error_in_a_fifth_of_the_pixels(pixels):
    predicted_m, truth_m, sigma = pixels
    shuffled = np.random.default_rng(1).permutation(sigma) / predicted_m
    assert figures(predicted_m, truth_m, shuffled).worst_20_share == pytest.approx(0.2, abs=0.02)
    assert figures(predicted_m, truth_m, shuffled).ause_m > 1.5 * figures(*pixels).ause_m


def test_half_of_the_true_sigma_covers_too_little_and_ranks_alike(pixels):
    predicted_m, truth_m, sigma = pixels
    half = figures(predicted_m, truth_m, sigma / 2)
    assert half.coverage_95 == pytest.approx(1 - np.sqrt(0.05), abs=0.005)
    assert half.ause_m == pytest.approx(figures(*pixels).ause_m, rel=0.02)


def test_no_pixel_gives_no_figures_and_the_errors_themselves_no_area(pixels):
    predicted_m, truth_m, _ = pixels
    assert ConfidenceSums().result() is None
    assert figures(predicted_m, truth_m, np.abs(predicted_m - truth_m) / predicted_m).ause_m == pytest.approx(
        0, abs=1e-6
    )
    assert laplace_quantile(0.95) == pytest.approx(np.log(20) / np.sqrt(2))


def test_a_model_with_sigma_is_judged_by_it_and_one_without_is_not(tum):
    pairs = load_pairs(tum, "test")
    plain = ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)
    with_sigma = DepthEstimator(FakeBackend(replace(plain, sigma_tensor="sigma")))
    result = evaluate(with_sigma, pairs, get_protocol("none"), model="fake")
    assert result.confidence is not None
    assert result.confidence.pixels == sum(np.count_nonzero(pair.read().depth_m) for pair in pairs.pairs)
    assert result.to_dict()["confidence"]["coverage_95"] == result.confidence.coverage_95
    without = evaluate(DepthEstimator(FakeBackend(plain)), pairs, get_protocol("none"), model="fake")
    assert without.confidence is None
    assert "confidence" not in without.to_dict()
    assert without.metrics == result.metrics
