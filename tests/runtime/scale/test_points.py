import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, FakeBackend, Intrinsics, LightDepthError
from lightdepth_runtime.scale import KnownPoints, axis_depth_m

CAMERA = Intrinsics(100.0, 100.0, 49.5, 49.5, 100, 100)


def test_points_of_any_kind_of_sequence_are_read():
    known = KnownPoints.read(np.array([[1, 2, 3.5], [4, 5, 6.5]], np.float32), 10, 10)
    assert len(known) == 2
    assert known.depth_m.tolist() == [3.5, 6.5]
    assert len(KnownPoints.read(known, 10, 10)) == 2
    assert len(KnownPoints.read([], 10, 10)) == 0


def test_a_range_is_shortened_to_depth_along_the_axis():
    x, y = CAMERA.cx + 100, CAMERA.cy  # 45 degrees from the axis
    assert axis_depth_m(2.0, x, y, CAMERA) == pytest.approx(2 / np.sqrt(2))
    assert axis_depth_m(2.0, CAMERA.cx, CAMERA.cy, CAMERA) == pytest.approx(2)


@pytest.mark.parametrize("resolution", ["image", "model"])
def test_points_correct_what_an_estimator_gives(resolution):
    estimator = DepthEstimator(FakeBackend())
    image = np.random.default_rng(0).integers(0, 255, (96, 128, 3), np.uint8)
    plain_m = estimator(image)
    points = [(x, y, 1.3 * plain_m[y, x]) for x in range(4, 128, 20) for y in range(4, 96, 20)]
    corrected_m = estimator(image, points=points, resolution=resolution)
    assert np.median(corrected_m) == pytest.approx(1.3 * np.median(plain_m), rel=0.05)
    assert np.array_equal(estimator(image, points=[]), plain_m)


def test_an_estimator_refuses_points_outside_the_image():
    estimator = DepthEstimator(FakeBackend())
    with pytest.raises(LightDepthError, match="outside the image, which is 128x96"):
        estimator(np.zeros((96, 128, 3), np.uint8), points=[(128, 0, 1.0)], resolution="model")
