import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.baseline import BaselineSpec, baseline_input, is_baseline, open_baseline
from lightdepth_runtime.images import import_cv2
from lightdepth_runtime.protocol import align, fit_alignment


def spec(**changes):
    values = {"kind": "relative-inverse", "input_height": 28, "input_width": 42, "parameters": 5, "weights": "random"}
    return BaselineSpec("baseline", **{**values, **changes})


def test_a_spec_survives_json():
    written = spec(gmacs=1.5, mean=(0.1, 0.2, 0.3))
    assert BaselineSpec.from_json(written.to_json()) == written


@pytest.mark.parametrize("change", [{"kind": "metres"}, {"interpolation": "nearest"}, {"precision": "fp8"}])
def test_an_unknown_value_is_refused_by_name(change):
    with pytest.raises(LightDepthError, match=next(iter(change))):
        spec(**change)


def test_a_spec_that_lacks_a_field_is_refused():
    with pytest.raises(LightDepthError, match="can't be read"):
        BaselineSpec.from_json('{"name": "x"}')


def test_a_uniform_frame_is_normalised_by_mean_and_std():
    frame = np.full((48, 64, 3), (255, 0, 51), np.uint8)
    plane = baseline_input(frame, spec(mean=(0.5, 0.5, 0.1), std=(0.5, 0.25, 0.1)))
    assert plane.shape == (3, 28, 42)
    assert plane.dtype == np.float32
    assert np.allclose(plane, np.array([1, -2, 1], np.float32)[:, None, None], atol=1e-5)


def test_bicubic_overshoot_is_kept():
    frame = np.zeros((28, 21, 3), np.uint8)
    frame[:, 10:] = 255
    plane = baseline_input(frame, spec(mean=(0, 0, 0), std=(1, 1, 1)))
    reference = import_cv2().resize(frame / np.float32(255), (42, 28), interpolation=import_cv2().INTER_CUBIC)
    assert plane.max() > 1.01
    assert np.allclose(plane, reference.transpose(2, 0, 1))


def test_a_file_without_baseline_metadata_is_no_baseline(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"nothing")
    assert not is_baseline(path)
    assert not is_baseline(tmp_path / "absent.onnx")
    with pytest.raises(LightDepthError, match="can't be opened"):
        open_baseline(path)


def test_relative_depth_is_recovered_up_to_its_scale_and_shift(tum):
    truth = np.random.default_rng(0).uniform(0.5, 9, 500)
    relative = 3.0 / truth - 0.7  # inverse depth with a scale and shift nobody knows
    assert np.allclose(align(relative, truth, "scale-shift", "relative-inverse"), truth)


def test_a_fit_on_some_pixels_serves_all_of_them():
    truth = np.random.default_rng(1).uniform(0.5, 9, (20, 30))
    relative = 5.0 / truth + 2
    fit = fit_alignment(relative[:10].ravel(), truth[:10].ravel(), "scale-shift", "relative-inverse")
    assert np.allclose(fit.apply(relative), truth)


def test_what_the_fit_puts_behind_infinity_is_far_and_finite():
    fit = fit_alignment(np.array([1.0, 2.0]), np.array([1.0, 0.5]), "scale-shift", "relative-inverse")
    beyond = fit.apply(np.array([-5.0]))
    assert np.isfinite(beyond).all()
    assert beyond > 1e6


@pytest.mark.parametrize("alignment", ["none", "median"])
def test_relative_depth_has_no_metres_without_scale_and_shift(alignment):
    with pytest.raises(LightDepthError, match="scale-shift"):
        align(np.ones(3), np.ones(3), alignment, "relative-inverse")


def test_a_constant_relative_prediction_becomes_a_constant_depth():
    aligned = align(np.full(4, 2.0), np.array([1.0, 2.0, 4.0, 4.0]), "scale-shift", "relative-inverse")
    assert np.allclose(aligned, 2.0)  # 1 / mean(1 / truth)
