import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.scale import ScaleTracker
from lightdepth_runtime.scale.fit import SCALE_STD

SECOND = 1_000_000_000
SCALE = 1.3


def _frame(number: int) -> tuple[np.ndarray, list[tuple[int, int, float]]]:
    """Depth that is 1.3 times too small, and what a range finder in the middle says."""
    depth_m = np.full((48, 64), 1 + 0.2 * (number % 20), np.float32)
    return depth_m, [(32, 24, SCALE * float(depth_m[24, 32]))]


def test_one_point_a_frame_adds_up_as_the_robot_drives():
    tracker = ScaleTracker()
    corrections = [tracker.update(*_frame(number), number * SECOND) for number in range(20)]
    assert corrections[0].scale < 1.2
    assert corrections[-1].scale == pytest.approx(SCALE, rel=0.05)
    assert corrections[-1].log_std < corrections[0].log_std


def test_a_robot_at_rest_does_not_become_certain():
    tracker = ScaleTracker()
    corrections = [tracker.update(*_frame(0), number * SECOND // 30) for number in range(100)]
    assert corrections[-1].scale == pytest.approx(corrections[0].scale, rel=1e-3)
    assert corrections[-1].log_std == pytest.approx(corrections[0].log_std, rel=1e-3)


def test_frames_without_points_have_the_remembered_scale_until_it_is_forgotten():
    tracker = ScaleTracker(half_life_s=10)
    for number in range(20):
        tracker.update(*_frame(number), number * SECOND)
    depth_m, _ = _frame(0)
    soon = tracker.update(depth_m, [], 21 * SECOND)
    late = tracker.update(depth_m, [], 200 * SECOND)
    assert soon.scale == pytest.approx(SCALE, rel=0.06)
    assert late.scale == 1
    assert late.log_std == SCALE_STD


def test_a_reset_and_a_clock_that_goes_back_forget():
    tracker = ScaleTracker()
    for number in range(20):
        tracker.update(*_frame(number), number * SECOND)
    assert tracker.update(_frame(0)[0], [], 19 * SECOND).scale > 1.2
    assert tracker.update(_frame(0)[0], [], 3 * SECOND).scale == 1
    tracker.update(*_frame(0), 4 * SECOND)
    tracker.reset()
    assert tracker.update(_frame(0)[0], [], 5 * SECOND).scale == 1


def test_a_stray_reading_is_overruled_by_what_is_remembered():
    tracker = ScaleTracker()
    for number in range(20):
        tracker.update(*_frame(number), number * SECOND)
    depth_m, [(x, y, metres)] = _frame(20)
    assert tracker.update(depth_m, [(x, y, 4 * metres)], 20 * SECOND).scale == pytest.approx(SCALE, rel=0.08)


@pytest.mark.parametrize("factor", [1000.0, 0.001])
def test_a_range_finder_in_another_unit_changes_nothing_however_long_it_speaks(factor):
    tracker = ScaleTracker()
    for number in range(40):
        depth_m, [(x, y, metres)] = _frame(number)
        correction = tracker.update(depth_m, [(x, y, factor * metres)], number * SECOND)
    assert correction.scale == 1
    assert correction.rejected == (0,)


def test_points_that_are_refused_leave_the_memory_as_it_was():
    tracker = ScaleTracker()
    for number in range(20):
        tracker.update(*_frame(number), number * SECOND)
    depth_m, _ = _frame(0)
    with pytest.raises(LightDepthError, match="outside"):
        tracker.update(depth_m, [(500, 3, 1.0)], 20 * SECOND)
    assert tracker.update(depth_m, [], 20 * SECOND).scale == pytest.approx(SCALE, rel=0.06)


def test_memory_stays_small():
    tracker = ScaleTracker()
    rng = np.random.default_rng(0)
    for number in range(100):
        depth_m = np.full((48, 64), rng.uniform(1, 9), np.float32)
        tracker.update(depth_m, [(32, 24, float(depth_m[0, 0]))], number * 10 * SECOND)
    assert len(tracker._seen) <= 16  # five half-lives of 30 s hold fifteen frames


def test_an_impossible_half_life_is_refused():
    with pytest.raises(LightDepthError, match="half-life"):
        ScaleTracker(half_life_s=0)


def _picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.kron(rng.integers(0, 256, (12, 16, 3), np.uint8), np.ones((10, 10, 1), np.uint8))


@pytest.mark.parametrize(
    ("seed", "gap_ns", "kept"), [(0, SECOND // 30, True), (1, SECOND // 30, False), (1, SECOND, True)]
)
def test_a_cut_of_the_pictures_forgets_and_a_gap_in_time_does_not(seed, gap_ns, kept):
    tracker = ScaleTracker()
    for number in range(20):
        tracker.update(*_frame(number), number * SECOND, _picture(0))
    scale = tracker.update(_frame(0)[0], [], 19 * SECOND + gap_ns, _picture(seed)).scale
    assert (scale > 1.2) == kept
    assert kept or scale == 1
