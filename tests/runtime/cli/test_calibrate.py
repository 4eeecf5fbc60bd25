"""The calibrate command as a user meets it."""

import sys

import cv2
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lightdepth_runtime import DepthEstimator, ModelSpec
from lightdepth_runtime.cli.app import app, run_app
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import SPEC_KEY, Intrinsics

SPEC = ModelSpec(name="flat", input_height=64, input_width=96, parameters=0, scores={"abs_rel": 0.1})


@pytest.fixture
def model(tmp_path):
    """A network that says 1 m everywhere."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 96])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, 64, 96])
    zero, one = (helper.make_tensor(str(v), TensorProto.FLOAT, [1], [v]) for v in (0, 1))
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    nodes = [
        helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1),
        helper.make_node("Mul", ["mean", zero.name], ["nothing"]),
        helper.make_node("Add", ["nothing", one.name], ["depth"]),
    ]
    graph = helper.make_graph(nodes, "g", [image], [depth], [zero, one, axes])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    proto.metadata_props.add(key=SPEC_KEY, value=SPEC.to_json())
    onnx.save_model(proto, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


@pytest.fixture
def run(capsys, monkeypatch):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lightdepth", "calibrate", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_app(app)
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def test_points_make_a_calibrated_copy_beside_the_model(run, model, tum):
    image = next(tum.rglob("*_rgb.jpg"))
    before = model.read_bytes()
    code, out, _ = run(model, "--at", f"{image},10,20,2.5", "--at", f"{image},50,60,2.5")
    assert code == 0
    assert "depth x 2.5: abs_rel 0.6000 before, 0.0000 after" in out
    assert model.read_bytes() == before
    estimator = DepthEstimator.load(model.with_name("m-calibrated.onnx"), "cpu")
    np.testing.assert_allclose(estimator(read_image(image)), 2.5)
    assert estimator.spec.calibration.fitted_on == "2 known distances"
    assert estimator.spec.scores == {}  # they were the uncalibrated model's


def test_pairs_calibrate_too(run, model, tum, tmp_path):
    code, _, _ = run(model, "--data", tum, "-o", tmp_path / "out" / "c.onnx")
    assert code == 0
    truths = [pair.read().depth_m for pair in load_pairs(tum, "train").pairs]
    medians = sorted(np.median(truth[truth > 0]) for truth in truths)
    scale = DepthEstimator.load(tmp_path / "out" / "c.onnx", "cpu").spec.calibration.scale
    assert medians[0] < scale < medians[-1]


@pytest.mark.parametrize(("focal_px", "told", "given"), [(200, True, ()), (100, False, ()), (200, False, (200,))])
def test_a_focal_length_of_pairs_that_is_not_part_of_the_fit_is_told(
    run, model, tum_copy, tmp_path, focal_px, told, given
):
    proto = onnx.load(model)
    camera = Intrinsics(100, 100, 79.5, 59.5, 160, 120)
    proto.metadata_props[0].value = SPEC.with_changes(intrinsics=camera).to_json()
    onnx.save_model(proto, model)
    rows = (tum_copy / "train.txt").read_text()
    (tum_copy / "own.txt").write_text(f"# intrinsics: {focal_px} {focal_px} 79.5 59.5 160 120\n{rows}")
    options = [word for focal in given for word in ("--focal-px", focal)]
    code, out, _ = run(model, "--data", tum_copy / "own.txt", "-o", tmp_path / "c.onnx", "--force", *options)
    assert (code, f"fit with --focal-px {focal_px}" in out) == (0, told)


@pytest.mark.parametrize(("range_m", "told"), [(10, True), (80, False)])
def test_depth_within_the_models_range_is_no_wrong_unit(run, model, tum_copy, tmp_path, range_m, told):
    proto = onnx.load(model)
    proto.metadata_props[0].value = SPEC.with_changes(max_depth_m=range_m).to_json()
    onnx.save_model(proto, model)
    for number, path in enumerate(sorted(tum_copy.rglob("*_depth.png"))):
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), np.where(depth > 0, 20001 + number + depth * 3, 0).astype(np.uint16))
    _, _, err = run(model, "--data", tum_copy, "-o", tmp_path / "c.onnx", "--force")
    assert ("Warning: Depth" in err) == told


def test_what_made_it_worse_is_not_written_unless_forced(run, model, tum, tmp_path):
    image = next(tum.rglob("*_rgb.jpg"))
    metres = (3, 3, 1, 3, 3, 1)  # each third is kept aside
    points = [word for x, depth in enumerate(metres) for word in ("--at", f"{image},{x},0,{depth}")]
    code, _, err = run(model, *points, "-o", tmp_path / "c.onnx")
    assert code == 1
    assert "worse, so nothing was written" in err
    assert not (tmp_path / "c.onnx").exists()
    assert run(model, *points, "-o", tmp_path / "c.onnx", "--force")[0] == 0
    assert (tmp_path / "c.onnx").exists()


@pytest.mark.parametrize("at", [[], ["--at", "a.jpg,1,2"], ["--at", "a.jpg,1,x,2"]])
def test_wrong_arguments_exit_with_2(run, model, at):
    assert run(model, *at)[0] == 2


def test_a_factor_that_is_a_mistake_of_units_is_refused_unless_forced(run, model, tum, tmp_path):
    image = next(tum.rglob("*_rgb.jpg"))
    points = [word for x in range(3) for word in ("--at", f"{image},{x},0,5")]
    code, _, err = run(model, *points, "-o", tmp_path / "c.onnx")
    assert code == 1
    assert "near 5, a usual mistake of units" in err
    assert not (tmp_path / "c.onnx").exists()
    assert run(model, *points, "-o", tmp_path / "c.onnx", "--force")[0] == 0
    assert (tmp_path / "c.onnx").exists()
