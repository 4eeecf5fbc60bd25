"""Fitting sigma's factor: the 95 % interval holds 95 %, judged by what was kept aside."""

from dataclasses import replace

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.calibration.fit import DepthGroup, KnownDistance, calibrate, groups_of_pairs, groups_of_points
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import DepthCalibration

SURE = ModelSpec("fake", 64, 96, 0, sigma_tensor="sigma")


def groups(*, scale=1.0, too_sure=1.0, count=9, samples=4000):
    """Make groups whose log depth errs by Laplace, and whose sigma is too small by a factor."""
    rng = np.random.default_rng(0)
    made = []
    for number in range(count):
        predicted, sigma = rng.uniform(0.5, 6, samples), rng.uniform(0.05, 0.4, samples)
        errors = rng.laplace(0, sigma / np.sqrt(2))
        made.append(DepthGroup(str(number), predicted, scale * predicted * np.exp(errors), sigma / too_sure))
    return made


def test_the_factor_is_found_whatever_the_scale_of_depth():
    for scale in (1.0, 1.4):
        report = calibrate(groups(scale=scale, too_sure=2.5), None, "")
        assert report.calibration.scale == pytest.approx(scale, rel=0.02)
        assert report.calibration.sigma_factor == pytest.approx(2.5, rel=0.05)
        assert report.sigma.coverage_before < 0.8
        assert report.sigma.coverage_after == pytest.approx(0.95, abs=0.01)
        assert not report.sigma.kept_before
        assert "95 % interval" in report.describe()


def test_a_factor_that_comes_no_nearer_on_what_was_kept_aside_is_not_taken():
    data = groups(too_sure=2.0)
    data[2::3] = [replace(group, sigma=group.sigma * 2) for group in data[2::3]]  # there sigma is right as it is
    report = calibrate(data, DepthCalibration(1.0, sigma_factor=1.0), "")
    assert report.sigma.kept_before
    assert report.calibration.sigma_factor == 1.0
    assert report.sigma.coverage_after == pytest.approx(0.95, abs=0.01)
    assert "keeps its factor" in report.describe()


def test_it_says_so_where_the_default_threshold_would_leave_out_half_of_the_pixels():
    for too_sure, is_said in ((1.0, False), (5.0, True)):
        data = [replace(group, sigma=np.full_like(group.predicted_m, 0.2)) for group in groups()]
        for group in data:
            group.truth_m[:] = group.predicted_m * (group.truth_m / group.predicted_m) ** too_sure
        report = calibrate(data, None, "")
        assert (report.sigma.median > 0.4) == is_said
        assert ("--max-sigma" in report.describe()) == is_said


def test_distances_without_sigma_leave_the_factor_that_the_model_has():
    data = [replace(group, sigma=None) for group in groups(scale=1.3)]
    report = calibrate(data, DepthCalibration(1.0, sigma_factor=1.7), "")
    assert report.sigma is None
    assert report.calibration.sigma_factor == 1.7
    assert "interval" not in report.describe()


def test_exact_depth_gives_a_small_factor_and_no_failure():
    data = [DepthGroup(str(i), np.array([1.0, 2.0]), np.array([1.0, 2.0]), np.array([0.1, 0.1])) for i in range(9)]
    assert 0 < calibrate(data, None, "").calibration.sigma_factor < 0.01


def test_sigma_of_pairs_is_the_networks_own_without_the_models_factor(tum):
    pairs = load_pairs(tum, "train")
    with_factor = SURE.with_changes(calibration=DepthCalibration(1.2, sigma_factor=3.0))
    for spec in (SURE, with_factor):
        for group in groups_of_pairs(FakeBackend(spec), pairs):
            np.testing.assert_allclose(group.sigma, 0.1 * group.predicted_m, rtol=1e-4)
    assert all(group.sigma is None for group in groups_of_pairs(FakeBackend(), pairs))
    image = next(tum.rglob("*_rgb.jpg"))
    assert groups_of_points(FakeBackend(SURE), [KnownDistance(image, 5, 5, 2.0)])[0].sigma is None


def test_after_calibration_eval_finds_95_per_cent_in_the_interval(tum):
    pairs = load_pairs(tum, "train")
    report = calibrate(groups_of_pairs(FakeBackend(SURE), pairs), None, "")
    protocol = get_protocol("none")
    before, after = (
        evaluate(DepthEstimator(FakeBackend(spec)), pairs, protocol, model="fake").confidence.coverage_95
        for spec in (SURE, SURE.with_changes(calibration=report.calibration))
    )
    assert abs(after - 0.95) < 0.05 < abs(before - 0.95)
