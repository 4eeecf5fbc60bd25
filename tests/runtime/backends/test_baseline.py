import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.backends.baseline import (
    BaselineSpec,
    baseline_input,
    is_baseline,
    open_baseline,
    read_baseline_spec,
)
from lightdepth_runtime.evaluation.alignment import fit_alignment
from lightdepth_runtime.images.opencv import import_cv2


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
    assert np.allclose(fit_alignment(relative, truth, "scale-shift", "relative-inverse").apply(relative), truth)


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
        fit_alignment(np.ones(3), np.ones(3), alignment, "relative-inverse")


def test_a_constant_relative_prediction_becomes_a_constant_depth():
    twos = np.full(4, 2.0)
    fit = fit_alignment(twos, np.array([1.0, 2.0, 4.0, 4.0]), "scale-shift", "relative-inverse")
    aligned = fit.apply(twos)
    assert np.allclose(aligned, 2.0)  # 1 / mean(1 / truth)


@pytest.fixture
def model(tmp_path):
    """A network of other tensor names, without any metadata: it gives the mean of its channels."""
    image = helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [1, 3, 28, 42])
    depth = helper.make_tensor_value_info("out", TensorProto.FLOAT, [1, 1, 28, 42])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMean", ["pixels", "axes"], ["out"], keepdims=1)
    graph = helper.make_graph([node], "mean", [image], [depth], [axes])
    path = tmp_path / "other.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9), str(path))
    return path


def write_spec(folder, **changes):
    values = {"kind": "metric", "input_height": 28, "input_width": 42, "input_name": "pixels", "output_name": "out"}
    path = folder / "spec.json"
    path.write_text(json.dumps({k: v for k, v in {**values, **changes}.items() if v is not None}))
    return path


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_any_onnx_model_runs_by_a_small_spec_file(model, tmp_path, device):
    if device == "openvino":
        pytest.importorskip("openvino")
    spec_path = write_spec(tmp_path, mean=[0, 0, 0], std=[1, 1, 1])
    backend = open_baseline(model, device, 1, spec_path=spec_path)
    assert (backend.spec.name, backend.spec.kind) == ("other", "metric")
    output = backend(np.full((48, 64, 3), 51, np.uint8))
    assert output.shape == (28, 42)
    assert np.allclose(output, 0.2, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"kind": None}, "lacks kind"),
        ({"kind": "metres"}, "kind must be one of"),
        ({"input_heigth": 3}, "unknown key 'input_heigth'"),
        ({"mean": [1, 2]}, "three numbers"),
    ],
)
def test_a_faulty_spec_file_is_refused_by_what_is_wrong(tmp_path, change, named):
    with pytest.raises(LightDepthError, match=named):
        read_baseline_spec(write_spec(tmp_path, **change), "other")


@pytest.mark.parametrize("change", [{"input_width": 28}, {"input_name": "image"}, {"output_name": "depth"}])
def test_a_spec_of_another_graph_is_refused(model, tmp_path, change):
    with pytest.raises(LightDepthError, match="its spec says"):
        open_baseline(model, "cpu", 1, spec_path=write_spec(tmp_path, **change))
