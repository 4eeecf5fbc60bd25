"""What the robots page's figures are made of: points drawn as they say, sectors counted as they say."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))
live_scale = importlib.import_module("live_scale")
obstacles = importlib.import_module("obstacles")
rolled = importlib.import_module("rolled")
sys.path.remove(str(BENCHMARKS))

TRUTH_M = np.linspace(1, 3, 480 * 640).reshape(480, 640).astype(np.float32)
MASK = np.ones((480, 640), bool)


def test_points_have_two_percent_noise_and_one_in_ten_is_wrong():
    rng = np.random.default_rng(0)
    points = live_scale.draw_points(TRUTH_M, MASK, 5000, "everywhere", rng)
    x, y = points[:, 0].astype(int), points[:, 1].astype(int)
    error = np.log(points[:, 2] / TRUTH_M[y, x])
    right = np.abs(error) < 0.1
    assert 0.87 < right.mean() < 0.93  # a few of the wrong ones fall near the truth
    assert error[right].std() == pytest.approx(0.02, rel=0.15)
    assert len({*zip(x, y, strict=True)}) == 5000


@pytest.mark.parametrize(("layout", "height", "width"), [("row", 1, 640), ("window", 96, 128)])
def test_layouts_are_a_row_and_a_window(layout, height, width):
    for seed in range(5):
        points = live_scale.draw_points(TRUTH_M, MASK, 64, layout, np.random.default_rng(seed))
        assert len(points) == 64
        assert np.ptp(points[:, 1]) < height
        assert np.ptp(points[:, 0]) < width


def test_only_pixels_that_count_are_drawn():
    mask = np.zeros_like(MASK)
    mask[100:103, 200:203] = True
    points = live_scale.draw_points(TRUTH_M, mask, 64, "everywhere", np.random.default_rng(0))
    assert len(points) == 9
    assert (points[:, 0] >= 200).all()


def test_missed_obstacles_and_false_stops_are_counted_by_their_rules():
    true_m = np.array([1.0, 1.0, 1.5, 3.0, 3.0, np.inf, 2.2], np.float32)
    estimated_m = np.array([1.1, np.inf, 2.4, 1.9, 3.3, 1.0, 1.9], np.float32)
    row = obstacles._summary([obstacles._Sectors(estimated_m, true_m)])
    assert row["near_sectors"] == 3
    assert row["missed_under_2_m"] == pytest.approx(1 / 3)  # the infinite one; 2.4 m is still seen
    assert row["free_sectors"] == 3
    assert row["false_stops"] == pytest.approx(2 / 3)  # 1.9 for 3 m, 1 m for nothing; 2.2 m is neither
    assert row["median_error"] == pytest.approx(np.median([0.1, 0.6, 1.1 / 3, 0.1, 0.3 / 2.2]), rel=1e-5)


def test_a_rolled_camera_sees_the_same_truth_elsewhere_and_none_from_outside():
    on_its_side = rolled.turned(TRUTH_M, 90, smooth=False)
    assert on_its_side.shape == (640, 480)
    assert np.array_equal(np.sort(on_its_side, axis=None), np.sort(TRUTH_M, axis=None))
    tilted = rolled.turned(TRUTH_M, 20, smooth=False)
    assert tilted.shape == TRUTH_M.shape
    assert 0.1 < (tilted == 0).mean() < 0.2
    assert tilted[240, 320] == pytest.approx(TRUTH_M[240, 320], rel=1e-3)
