import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.scale import fit_correction
from lightdepth_runtime.scale.fit import SCALE_STD

HEIGHT, WIDTH = 48, 64


def _truth() -> np.ndarray:
    down, across = np.mgrid[0:HEIGHT, 0:WIDTH]
    return (1.5 + across / WIDTH + 2 * down / HEIGHT).astype(np.float32)


def _points(truth_m: np.ndarray, count: int, seed: int = 0, noise: float = 0.02, outliers: float = 0.0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    chosen = rng.choice(truth_m.size, count, replace=False)
    metres = truth_m.flat[chosen] * np.exp(rng.normal(0, noise, count))
    wrong = rng.permutation(count) < round(outliers * count)
    metres[wrong] *= 3
    return np.stack([chosen % WIDTH, chosen // WIDTH, metres], axis=1)


def _abs_rel(depth_m: np.ndarray, truth_m: np.ndarray) -> float:
    return float(np.mean(np.abs(depth_m - truth_m) / truth_m))


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.25, 2.0])
def test_enough_points_find_the_scale(scale):
    truth_m = _truth()
    correction = fit_correction(truth_m / np.float32(scale), _points(truth_m, 32))
    assert correction.scale == pytest.approx(scale, rel=0.05)
    assert abs(np.log(correction.scale / scale)) < 4 * correction.log_std


def test_no_points_leave_depth_as_it_is():
    correction = fit_correction(_truth(), [])
    assert correction.kind == "none"
    assert np.array_equal(correction.apply(_truth()), _truth())


def test_one_point_moves_the_scale_by_a_part_of_its_disagreement():
    truth_m = _truth()
    correction = fit_correction(truth_m / np.float32(1.2), _points(truth_m, 1, noise=0))
    assert 1.02 < correction.scale < 1.15
    assert correction.log_std < SCALE_STD


def test_one_outlier_alone_moves_little():
    [[x, y, metres]] = _points(_truth(), 1, noise=0)
    assert abs(np.log(fit_correction(_truth(), [(x, y, 5 * metres)]).scale)) < 0.1


@pytest.mark.parametrize("factor", [10.0, 1000.0, 0.001])
def test_one_point_that_no_camera_is_off_by_changes_nothing(factor):
    [[x, y, metres]] = _points(_truth(), 1, noise=0)
    correction = fit_correction(_truth(), [(x, y, factor * metres)])
    assert np.array_equal(correction.apply(_truth()), _truth())
    assert correction.rejected == (0,)


def test_outliers_are_named_and_do_not_move_the_scale():
    truth_m = _truth()
    points = _points(truth_m, 40, outliers=0.1)
    correction = fit_correction(truth_m / np.float32(1.3), points)
    wrong = np.abs(points[:, 2] / truth_m[points[:, 1].astype(int), points[:, 0].astype(int)] - 1) > 1
    assert correction.rejected == tuple(np.flatnonzero(wrong))
    assert correction.used == 36
    assert correction.scale == pytest.approx(1.3, rel=0.05)


def test_an_error_that_varies_over_the_image_is_corrected():
    truth_m = _truth()
    across = np.linspace(-0.4, 0.4, WIDTH, dtype=np.float32)
    depth_m = truth_m * np.exp(across)
    correction = fit_correction(depth_m, _points(truth_m, 64))
    assert correction.kind == "smooth"
    assert correction.abs_rel_after is not None
    assert correction.abs_rel_before is not None
    assert correction.abs_rel_after < correction.abs_rel_before / 3
    before = _abs_rel(depth_m, truth_m)
    assert _abs_rel(correction.apply(depth_m.copy()), truth_m) < before / 4


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 64])
def test_points_never_spoil_good_depth(count):
    """Depth with a local error of 10 % and a small one of scale: on average no count of points makes it worse."""
    truth_m = _truth()
    before, after = [], []
    for seed in range(40):
        rng = np.random.default_rng(seed)
        depth_m = (truth_m * np.exp(rng.normal(0, 0.1, truth_m.shape) + rng.normal(0, 0.1))).astype(np.float32)
        points = _points(truth_m, count, seed, outliers=0.1 if count >= 16 else 0)
        before.append(_abs_rel(depth_m, truth_m))
        after.append(_abs_rel(fit_correction(depth_m, points).apply(depth_m), truth_m))
    assert np.mean(after) < 1.02 * np.mean(before)


def test_many_points_of_one_place_count_as_one():
    truth_m = _truth()
    depth_m = truth_m / np.float32(1.4)
    crowded = [(x, y, truth_m[y, x]) for x in range(28, 32) for y in range(20, 24)]
    spread = [(x, y, truth_m[y, x]) for x in range(2, 64, 16) for y in range(2, 48, 12)]
    assert len(crowded) == len(spread)
    assert fit_correction(depth_m, crowded).log_std > 2 * fit_correction(depth_m, spread).log_std


@pytest.mark.parametrize(
    ("points", "named"),
    [
        ([(64, 10, 2.0)], "outside the image, which is 64x48"),
        ([(3, 3, 2.0), (-1, 10, 2.0)], "point 1 at"),
        ([(float("nan"), 10, 2.0)], "outside"),
        ([(3, 3, -1.0)], "-1 m"),
        ([(3, 3, 0.0)], "0 m"),
        ([(3, 3, float("nan"))], "nan m"),
        ([(3, 3, float("inf"))], "inf m"),
        ([(3, 3)], r"\(1, 2\)"),
        ([("a", 3, 3)], "numbers"),
        ((3, 3, 1.0), r"\(3,\)"),
    ],
)
def test_impossible_points_are_refused(points, named):
    with pytest.raises(LightDepthError, match=named):
        fit_correction(_truth(), points)


def test_points_in_millimetres_are_refused():
    points = _points(_truth(), 5)
    points[:, 2] *= 1000
    with pytest.raises(LightDepthError, match="metres"):
        fit_correction(_truth(), points)


def test_points_that_agree_with_nothing_are_refused():
    points = _points(_truth(), 64)
    points[:, 2] = np.exp(np.random.default_rng(1).uniform(np.log(0.3), np.log(10), 64))
    with pytest.raises(LightDepthError, match="agree neither"):
        fit_correction(_truth(), points)


def test_depth_that_is_no_number_at_a_point_is_refused():
    depth_m = _truth()
    depth_m[5, 5] = np.nan
    with pytest.raises(LightDepthError, match="not positive and finite"):
        fit_correction(depth_m, [(5, 5, 2.0)])


def test_ten_thousand_readings_of_one_place_say_what_one_says():
    truth_m = _truth()
    [point] = _points(truth_m, 1, noise=0)
    once, often = (fit_correction(truth_m / np.float32(1.2), np.repeat([point], n, axis=0)) for n in (5, 10_000))
    assert often.scale == pytest.approx(once.scale, rel=1e-6)
    assert often.used == 10_000
