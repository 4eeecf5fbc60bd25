import cv2
import numpy as np
import pytest

from lightdepth.compare.panels import (
    Depth,
    DepthError,
    Note,
    Photo,
    Sigma,
    draw_panels,
    estimated_panel,
    photo_title,
    signed_error,
)
from lightdepth_runtime import DepthEstimator, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.pairs import load_pairs

ESTIMATOR = DepthEstimator(FakeBackend())


@pytest.fixture
def frame(tum):
    return load_pairs(tum, "test").pairs[0].read()


def test_a_row_shows_input_truth_prediction_and_error(frame):
    panel = estimated_panel(ESTIMATOR, frame.image, frame.depth_m, "a/b_rgb.jpg")
    assert [type(p) for p in panel] == [Photo, Depth, Depth, DepthError]
    assert panel[2].depth_m.shape == frame.depth_m.shape
    seen = frame.depth_m > 0
    np.testing.assert_allclose(panel[3].error_m[seen], (panel[2].depth_m - frame.depth_m)[seen])
    assert np.isnan(panel[3].error_m[~seen]).all()


def test_a_model_with_sigma_has_one_more_picture_and_one_without_has_not(frame, tmp_path):
    spec = ModelSpec("fake", 64, 96, 0)
    plain, sure = (
        estimated_panel(DepthEstimator(FakeBackend(s)), frame.image, frame.depth_m, "a")
        for s in (spec, spec.with_changes(sigma_tensor="sigma"))
    )
    assert [type(p) for p in plain] == [Photo, Depth, Depth, DepthError]
    assert [type(p) for p in sure] == [Photo, Depth, Depth, DepthError, Sigma]
    np.testing.assert_allclose(sure[4].sigma, 0.1 * sure[2].depth_m, rtol=1e-5)
    widths = []
    for panel in (plain, sure):
        draw_panels([panel], tmp_path / "row.png")
        widths.append(cv2.imread(str(tmp_path / "row.png")).shape[1])
    assert widths[1] > widths[0] + 200


def test_errors_are_prediction_minus_truth_and_absent_without_truth():
    error = signed_error(np.array([[2.0, 5.0]]), np.array([[3.0, 0.0]]))
    assert error[0, 0] == -1
    assert np.isnan(error[0, 1])


def test_a_picture_is_written_whole_at_four_columns(frame, tmp_path):
    path = tmp_path / "panels.png"
    draw_panels([estimated_panel(ESTIMATOR, frame.image, frame.depth_m)] * 2, path)
    picture = cv2.imread(str(path))
    assert picture.shape[1] > 4 * 250
    assert picture.std() > 20, "an empty figure is nearly white"
    assert [p.name for p in tmp_path.iterdir()] == ["panels.png"]


def test_the_same_depth_has_the_same_colour_in_truth_and_prediction(tmp_path):
    truth = np.tile(np.linspace(1, 3, 64, dtype=np.float32), (48, 1))
    near = np.full_like(truth, 1.0)
    photo = Photo("", np.zeros((48, 64, 3), np.uint8))

    def right_half(panel):
        draw_panels([panel], tmp_path / "row.png")
        return cv2.imread(str(tmp_path / "row.png"))

    same = right_half([photo, Depth("", truth), Depth("", truth)])
    other = right_half([photo, Depth("", truth), Depth("", near)])
    width = same.shape[1]
    assert np.array_equal(same[:, : width // 2], other[:, : width // 2]), "the scale follows the truth alone"
    assert not np.array_equal(same, other)


def test_words_stand_where_there_is_no_picture(frame, tmp_path):
    draw_panels([[Photo("", frame.image), Depth("", frame.depth_m), Note("random weights")]], tmp_path / "n.png")
    assert (tmp_path / "n.png").stat().st_size > 1000


def test_a_row_without_a_single_reading_is_drawn(tmp_path):
    empty = np.zeros((48, 64), np.float32)
    draw_panels([estimated_panel(ESTIMATOR, np.zeros((48, 64, 3), np.uint8), empty)], tmp_path / "empty.png")
    assert (tmp_path / "empty.png").exists()


def test_no_rows_are_an_error_and_leave_no_file(tmp_path):
    with pytest.raises(LightDepthError, match="no pictures"):
        draw_panels([], tmp_path / "none.png")
    assert not list(tmp_path.iterdir())


def test_long_names_are_cut_to_fit():
    assert photo_title("scene/0046_rgb.jpg") == "Input 0046_rgb"
    assert len(photo_title("x" * 90)) < 40
