import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.alignment import fit_alignment


def align(prediction, *others):
    return fit_alignment(prediction, *others).apply(prediction)


def test_median_alignment_recovers_any_scale():
    truth = np.random.default_rng(0).uniform(0.5, 9, 501)
    np.testing.assert_allclose(align(truth * 0.31, truth, "median"), truth)


def test_scale_shift_recovers_metres_from_scaled_and_shifted_disparity():
    truth = np.random.default_rng(0).uniform(0.5, 9, 501)
    relative = (1 / truth - 0.05) / 3.0
    np.testing.assert_allclose(align(relative, truth, "scale-shift", "relative-inverse"), truth)
    np.testing.assert_allclose(align(1 / relative.clip(1e-2), truth, "scale-shift").mean(), truth.mean(), rtol=0.5)


def test_scale_shift_of_a_metric_model_solves_the_least_squares_problem():
    rng = np.random.default_rng(1)
    truth = rng.uniform(0.5, 9, 300)
    prediction = truth * rng.uniform(0.8, 1.2, 300)
    design = np.stack([1 / prediction, np.ones(300)], axis=1)
    scale, shift = np.linalg.lstsq(design, 1 / truth, rcond=None)[0]
    expected = 1 / np.maximum(scale / prediction + shift, np.finfo(float).tiny)
    np.testing.assert_allclose(align(prediction, truth, "scale-shift"), expected, rtol=1e-9)


def test_a_constant_prediction_aligns_to_a_finite_depth():
    truth = np.random.default_rng(0).uniform(0.5, 9, 50)
    for alignment in ("none", "median", "scale-shift"):
        assert np.isfinite(align(np.full(50, 2.0), truth, alignment)).all()


@pytest.mark.parametrize("alignment", ["none", "median"])
def test_a_relative_prediction_without_scale_shift_is_refused(alignment):
    with pytest.raises(LightDepthError, match="use scale-shift"):
        align(np.ones(3), np.ones(3), alignment, "relative-inverse")
