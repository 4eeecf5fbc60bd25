from itertools import pairwise

import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.steady import SteadyFilter

FRAME_NS = 33_333_333
HEIGHT, WIDTH = 96, 128
BASE_M = (2 + np.mgrid[0:HEIGHT, 0:WIDTH][0] / HEIGHT).astype(np.float32)


def _picture(seed: int = 0) -> np.ndarray:
    """Smooth colours that an optical flow can follow."""
    cv2 = import_cv2()
    noise = np.random.default_rng(seed).integers(0, 255, (30, 40, 3), np.uint8)
    return cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)


def _noisy(number: int, std: float = 0.05) -> np.ndarray:
    rng = np.random.default_rng(number)
    return (BASE_M * np.exp(rng.normal(0, std, BASE_M.shape) + rng.normal(0, std))).astype(np.float32)


def _change(maps: list[np.ndarray]) -> float:
    return float(np.mean([np.abs(np.log(b / a)).mean() for a, b in pairwise(maps)]))


def test_a_still_scene_flickers_less_than_half_and_stays_as_right():
    steady, image = SteadyFilter(), _picture()
    raw = [_noisy(number) for number in range(30)]
    smooth = [steady.update(image, depth_m, number * FRAME_NS) for number, depth_m in enumerate(raw)]
    assert _change(smooth[10:]) < _change(raw[10:]) / 3
    assert np.abs(np.log(np.array(smooth[10:]) / BASE_M)).mean() < np.abs(np.log(np.array(raw[10:]) / BASE_M)).mean()
    assert steady.resets == 1


def test_the_first_frame_is_what_the_model_says():
    assert SteadyFilter().update(_picture(), BASE_M, 0) == pytest.approx(BASE_M, rel=1e-5)


def test_a_cut_begins_anew():
    steady = SteadyFilter()
    for number in range(5):
        steady.update(_picture(0), BASE_M, number * FRAME_NS)
    other = steady.update(_picture(1), BASE_M / 2, 5 * FRAME_NS)
    assert other == pytest.approx(BASE_M / 2, rel=1e-4)
    assert steady.resets == 2


@pytest.mark.parametrize("stamp_ns", [-5, 4 * FRAME_NS, 10**12])
def test_a_clock_that_jumps_begins_anew(stamp_ns):
    steady = SteadyFilter()
    for number in range(5):
        steady.update(_picture(), BASE_M, number * FRAME_NS)
    assert steady.update(_picture(), BASE_M * 2, stamp_ns) == pytest.approx(BASE_M * 2, rel=1e-4)
    assert steady.resets == 2


def test_an_object_that_appears_is_there_at_once():
    steady, image = SteadyFilter(), _picture()
    for number in range(5):
        steady.update(image, BASE_M, number * FRAME_NS)
    changed, nearer = image.copy(), BASE_M.copy()
    changed[100:200, 100:200] = 255 - changed[100:200, 100:200]
    nearer[40:80, 40:80] = 0.7
    depth_m = steady.update(changed, nearer, 5 * FRAME_NS)
    assert np.median(depth_m[45:75, 45:75]) == pytest.approx(0.7, rel=0.05)


def test_a_scale_that_changed_is_followed_in_half_a_second():
    steady, image = SteadyFilter(), _picture()
    for number in range(30):
        steady.update(image, BASE_M, number * FRAME_NS)
    for number in range(30, 45):
        depth_m = steady.update(image, BASE_M * np.float32(1.1), number * FRAME_NS)
    assert np.median(depth_m / BASE_M) == pytest.approx(1.1, abs=0.01)


def test_the_whole_is_never_moved_further_than_by_a_sixth():
    steady, image = SteadyFilter(), _picture()
    for number in range(5):
        steady.update(image, BASE_M, number * FRAME_NS)
    depth_m = steady.update(image, BASE_M * 2, 5 * FRAME_NS)
    assert np.median(depth_m / (BASE_M * 2)) == pytest.approx(1, abs=0.17)


def test_a_panning_camera_carries_depth_along():
    cv2 = import_cv2()
    wide = cv2.resize(_picture(3), (480, 240), interpolation=cv2.INTER_CUBIC)
    wall_m = np.repeat(np.where(np.arange(480) < 240, 1.5, 3.0).astype(np.float32)[None], 240, axis=0)
    steady, error = SteadyFilter(), 0.0
    for number in range(20):
        window = slice(4 * number, 4 * number + 320)
        image = np.ascontiguousarray(wide[:, window])
        truth_m = cv2.resize(wall_m[:, window], (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
        error = np.abs(np.log(steady.update(image, truth_m, number * FRAME_NS) / truth_m)).mean()
    assert error < 0.02
    assert steady.resets == 1


def test_a_sure_new_frame_outweighs_an_unsure_old_one():
    results = []
    for old, new in ((0.3, 0.05), (0.05, 0.3)):
        steady, image = SteadyFilter(), _picture()
        steady.update(image, BASE_M, 0, np.full_like(BASE_M, old))
        rng = np.random.default_rng(0)
        bumpy = (BASE_M * np.exp(rng.normal(0, 0.1, BASE_M.shape))).astype(np.float32)
        depth_m = steady.update(image, bumpy, FRAME_NS, np.full_like(BASE_M, new))
        results.append(np.abs(np.log(depth_m / bumpy)).mean())
    assert results[0] < results[1] / 3


@pytest.mark.parametrize("value", [0.0, -1.0, np.nan, np.inf])
def test_depth_that_is_no_distance_is_refused_and_forgotten(value):
    steady, wrong = SteadyFilter(), BASE_M.copy()
    wrong[3, 3] = value
    steady.update(_picture(), BASE_M, 0)
    with pytest.raises(LightDepthError, match="positive and finite"):
        steady.update(_picture(), wrong, FRAME_NS)
    assert steady.update(_picture(), BASE_M * 2, 2 * FRAME_NS) == pytest.approx(BASE_M * 2, rel=1e-4)
