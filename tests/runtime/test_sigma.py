"""What sigma says of a pixel."""

import math

import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.sigma import check_max_sigma, confidence_of, laplace_quantile, without_unsure


def test_depth_of_a_larger_sigma_is_no_number_and_the_caller_keeps_his_array():
    depth_m = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
    sigma = np.array([[0.1, 0.4, 0.41, math.nan]], np.float32)
    kept = without_unsure(depth_m, sigma, np.float32(0.4))
    np.testing.assert_array_equal(kept, np.array([[1, 2, math.nan, math.nan]], np.float32))
    assert kept.dtype == np.float32
    assert depth_m[0, 2] == 3


def test_nothing_is_copied_where_nothing_is_dropped():
    depth_m = np.ones((2, 3), np.float32)
    assert without_unsure(depth_m, None, 0.1) is depth_m
    assert without_unsure(depth_m, 9 * depth_m, math.inf) is depth_m


def test_confidence_is_the_share_of_laplace_errors_within_a_factor_of_1_25():
    rng = np.random.default_rng(0)
    for sigma in (0.05, 0.2, 0.7):
        errors = rng.laplace(0, sigma / math.sqrt(2), 200_000)
        share = np.mean(np.abs(errors) < math.log(1.25))
        assert confidence_of(np.full((1, 1), sigma, np.float32))[0, 0] == pytest.approx(share, abs=0.005)
        assert np.mean(np.abs(errors) <= laplace_quantile(0.95) * sigma) == pytest.approx(0.95, abs=0.005)
    assert confidence_of(np.zeros((1, 1), np.float32))[0, 0] == 1


@pytest.mark.parametrize("value", [0, -0.1, math.nan])
def test_a_threshold_that_keeps_nothing_is_refused(value):
    with pytest.raises(LightDepthError, match="positive number"):
        check_max_sigma(value)
