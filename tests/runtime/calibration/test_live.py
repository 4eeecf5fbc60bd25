import numpy as np
import pytest

from lightdepth_runtime import Frame, LightDepthError, ModelSpec
from lightdepth_runtime.calibration.fit import calibrate
from lightdepth_runtime.calibration.live import PROMPT, measure_live


class _Looks:
    """An estimator that says 1 m for grey 100, 2 m for grey 200."""

    spec = ModelSpec("grey", 64, 96, 0)

    def __call__(self, image):
        return image[:, :, 0].astype(np.float32) / 100

    def depth_factor(self, focal_px, height, width):
        return focal_px / 100


def _session(answers, greys=range(40, 250, 5), focal_px=None):
    """Answer the prompts in turn, while the camera sees another grey every three frames."""
    lines, replies = [], iter(answers)

    def ask(prompt):
        assert prompt == PROMPT
        reply = next(replies)
        if reply is None:
            raise EOFError
        return reply

    frames = (
        Frame(np.full((48, 64, 3), grey, np.uint8), number, "a") for number, grey in enumerate(np.repeat(greys, 3))
    )
    return measure_live(_Looks(), frames, ask, focal_px=focal_px, say=lines.append), lines


def test_measured_distances_become_groups_and_the_scale():
    greys = [50, 100, 150, 200, 75, 125]
    groups, lines = _session([f"{1.3 * grey / 100:.3f}" for grey in greys] + [""], greys)
    assert len(groups) == len(lines) == 6
    assert calibrate(groups, None, "live").calibration.scale == pytest.approx(1.3, rel=1e-3)
    assert "estimated 0.50 m, measured 0.65 m" in lines[0]
    assert "1 more at least" in lines[4]
    assert "enough: Enter finishes" in lines[5]


def test_it_says_what_is_still_missing():
    _, lines = _session(["1.30"] * 6 + [""], [100] * 6)
    assert "nearer or farther" in lines[-1]
    greys = [50, 100, 150, 200, 75, 125]
    _, lines = _session(
        [str(f * g / 100) for f, g in zip([1, 1.4, 0.8, 1.7, 0.7, 1.2], greys, strict=True)] + [""], greys
    )
    assert "Go on until" in lines[-1]


def test_what_is_no_distance_is_asked_again_and_takes_no_frame():
    groups, lines = _session(["far", "-1", "nan", "1,30", "1.95m", None], [100, 150])
    assert [float(group.truth_m[0]) for group in groups] == [1.3, 1.95]
    assert [float(group.predicted_m[0]) for group in groups] == [1.0, 1.5]
    assert all("no distance" in line for line in lines[:3])


def test_centimetres_are_asked_again():
    groups, lines = _session(["130", "1.30", ""], [100, 100])
    assert len(groups) == 1
    assert "130 m" in lines[0]
    assert "1.00 m" in lines[0]


def test_undo_takes_the_last_measurement_back():
    groups, lines = _session(["1.3", "1.9", "undo", "2.0", "undo", "undo", "undo", "1.4", ""], [100, 150, 150, 100])
    assert [float(group.truth_m[0]) for group in groups] == [1.4]
    assert [line for line in lines if "left" in line] == ["1 left.", "1 left.", "0 left.", "0 left."]


def test_the_focal_lengths_factor_stays_out_of_the_fit():
    [group], [line] = _session(["2.6", ""], [100], focal_px=200)
    assert float(group.truth_m[0]) == pytest.approx(1.3)
    assert "estimated 2.00 m" in line


def test_a_camera_that_ends_before_the_first_measurement_is_an_error():
    with pytest.raises(LightDepthError, match="no more images"):
        _session(["1.0"], [])


def test_what_was_measured_before_a_camera_ended_is_kept():
    groups, lines = _session(["1.4", "1.0"], [100])
    assert [float(group.truth_m[0]) for group in groups] == [1.4]
    assert lines[-1] == "The camera gives no more images; what was measured before counts."
