import numpy as np
import pytest

from lightdepth_runtime.scale import DepthCorrection
from lightdepth_runtime.scale.correction import TERMS, basis


def test_the_factor_of_a_large_image_is_that_of_its_waves():
    rng = np.random.default_rng(0)
    coefficients = rng.normal(0, 0.1, len(TERMS))
    correction = DepthCorrection("smooth", tuple(coefficients), 0.1, 9)
    height, width = 120, 160
    down, across = np.mgrid[0:height, 0:width]
    exact = np.exp(basis((across + 0.5) / width, (down + 0.5) / height) @ coefficients)
    assert correction.factor(height, width) == pytest.approx(exact, rel=0.01)


def test_the_first_term_is_the_scale():
    assert TERMS[0] == (0, 0)
    assert len(TERMS) == len(set(TERMS)) == 15
    assert DepthCorrection("scale", (np.log(1.5),)).scale == pytest.approx(1.5)


def test_depth_is_corrected_in_place():
    depth_m = np.ones((3, 4), np.float32)
    assert DepthCorrection("scale", (np.log(2.0),)).apply(depth_m) is depth_m
    assert depth_m == pytest.approx(2)
