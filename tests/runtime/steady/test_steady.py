import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, FakeBackend, ModelSpec
from lightdepth_runtime.steady import SteadyDepth

SPEC = ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)


@pytest.mark.parametrize("shape", [(120, 160, 3), (65, 97, 3), (48, 64), (120, 160, 4), (120, 160, 1)])
def test_depth_has_the_images_size_whatever_its_channels(shape):
    steady = SteadyDepth(DepthEstimator(FakeBackend(SPEC)))
    image = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
    for number in range(3):
        depth_m = steady(image, number * 33_333_333)
    assert depth_m.shape == shape[:2]
    assert depth_m.dtype == np.float32
    assert np.isfinite(depth_m).all()
    assert steady.resets == 1


def test_the_first_frame_is_the_estimators_own():
    estimator = DepthEstimator(FakeBackend(SPEC))
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    assert SteadyDepth(estimator)(image, 0) == pytest.approx(estimator(image), rel=1e-4)


def test_a_model_with_sigma_is_asked_for_it():
    estimator = DepthEstimator(FakeBackend(SPEC.with_changes(sigma_tensor="sigma")))
    steady = SteadyDepth(estimator)
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    steady(image, 0)
    assert steady(image, 33_333_333) == pytest.approx(estimator(image), rel=0.02)


def test_another_size_of_image_goes_on():
    steady = SteadyDepth(DepthEstimator(FakeBackend(SPEC)))
    steady(np.zeros((120, 160, 3), np.uint8), 0)
    assert steady(np.zeros((60, 80, 3), np.uint8), 33_333_333).shape == (60, 80)


def test_a_mirrored_view_is_an_image_too():
    estimator = DepthEstimator(FakeBackend(SPEC))
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)[:, ::-1]
    steady = SteadyDepth(estimator)
    steady(image, 0)
    assert steady(image, 33_333_333) == pytest.approx(estimator(image), rel=0.02)
