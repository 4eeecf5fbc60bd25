"""A copy of a model with another spec: the same network to the byte."""

import json

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.tensorrt.engine_file import (
    EngineSidecar,
    read_engine_sidecar,
    read_plan,
    sha256_of,
    write_engine,
)
from lightdepth_runtime.calibration.rewrite import copy_with_spec
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import SPEC_KEY, DepthCalibration, ModelSpec

SPEC = ModelSpec(name="m", input_height=64, input_width=96, parameters=1)
CALIBRATED = SPEC.with_changes(calibration=DepthCalibration(1.25, 0.9, "3 known distances"), scores={})


@pytest.fixture
def onnx_file(tmp_path):
    """A small network, depth = mean of channels + 1, with metadata before and after the spec."""
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, 64, 96])
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, 64, 96])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    node = helper.make_node("ReduceMean", ["image", "axes"], ["depth"], keepdims=1)
    graph = helper.make_graph([node], "g", [image], [depth], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    for key, value in (("author", "x" * 300), (SPEC_KEY, SPEC.to_json()), ("licence", "")):
        model.metadata_props.add(key=key, value=value)
    onnx.save_model(model, tmp_path / "m.onnx")
    return tmp_path / "m.onnx"


def test_an_onnx_copy_differs_in_its_spec_alone(onnx_file, tmp_path):
    copy_with_spec(onnx_file, tmp_path / "c.onnx", CALIBRATED)
    before, after = onnx.load(onnx_file), onnx.load(tmp_path / "c.onnx")
    onnx.checker.check_model(after)
    metadata = {entry.key: entry.value for entry in after.metadata_props}
    assert len(after.metadata_props) == 3
    assert metadata == {"author": "x" * 300, "licence": "", SPEC_KEY: CALIBRATED.to_json()}
    del before.metadata_props[:], after.metadata_props[:]
    assert before == after
    assert open_backend(tmp_path / "c.onnx", "cpu", 1).spec == CALIBRATED


def test_a_file_may_be_rewritten_in_place_and_again(onnx_file):
    for spec in (CALIBRATED, SPEC, CALIBRATED):
        copy_with_spec(onnx_file, onnx_file, spec)
        assert open_backend(onnx_file, "cpu", 1).spec == spec


def test_a_checkpoint_copy_keeps_tensors_and_other_metadata(tmp_path):
    tensors = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(5, np.float16)}
    save_file(tensors, tmp_path / "m.safetensors", metadata={SPEC_KEY: SPEC.to_json(), "config": "{}"})
    copy_with_spec(tmp_path / "m.safetensors", tmp_path / "c.safetensors", CALIBRATED)
    with safe_open(tmp_path / "c.safetensors", "np") as file:
        assert file.metadata() == {SPEC_KEY: CALIBRATED.to_json(), "config": "{}"}
    for name, array in load_file(tmp_path / "c.safetensors").items():
        np.testing.assert_array_equal(array, tensors[name])
        assert array.dtype == tensors[name].dtype
    length = int.from_bytes((tmp_path / "c.safetensors").read_bytes()[:8], "little")
    assert length % 8 == 0  # readers map the tensors, aligned


def test_an_engine_copy_has_the_plan_and_a_json_with_the_new_spec(tmp_path):
    plan = b"ftrt" + bytes(100)
    shape = (1, 3, 64, 96)
    sidecar = EngineSidecar(
        SPEC, "tensorrt", "10.3", "Orin", ("sm87",), "linux", "m.onnx", "0", sha256_of(plan), len(plan), "fp16",
        shape, shape, shape,
    )  # fmt: skip
    write_engine(tmp_path / "m.engine", plan, sidecar)
    copy_with_spec(tmp_path / "m.engine", tmp_path / "c.engine", CALIBRATED)
    copied = read_engine_sidecar(tmp_path / "c.engine")
    assert copied.spec == CALIBRATED
    assert read_plan(tmp_path / "c.engine", copied) == plan


@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_a_truncated_onnx_is_refused_and_nothing_is_written(onnx_file, tmp_path, cut):
    content = onnx_file.read_bytes()
    onnx_file.write_bytes(content[: int(len(content) * cut)])
    with pytest.raises(LightDepthError, match="damaged or not an ONNX file"):
        copy_with_spec(onnx_file, tmp_path / "c.onnx", SPEC)
    assert not (tmp_path / "c.onnx").exists()


@pytest.mark.parametrize("content", [b"\x05", b"hello world", b"\xff" * 20, b"\x00\x00"])
def test_bytes_that_are_no_message_are_refused(tmp_path, content):
    for name, kind in (("m.onnx", "ONNX"), ("m.safetensors", "safetensors")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(LightDepthError, match=f"damaged or not an? {kind} file"):
            copy_with_spec(tmp_path / name, tmp_path / f"c{(tmp_path / name).suffix}", SPEC)


def test_other_types_and_other_suffixes_are_refused(onnx_file, tmp_path):
    with pytest.raises(LightDepthError, match=r"must end in \.onnx"):
        copy_with_spec(onnx_file, tmp_path / "c.engine", SPEC)
    (tmp_path / "m.pt").write_bytes(b"x")
    with pytest.raises(LightDepthError, match=r"needs \.onnx, \.engine or \.safetensors"):
        copy_with_spec(tmp_path / "m.pt", tmp_path / "c.pt", SPEC)


def test_specs_of_before_there_were_calibrations_load_and_bad_ones_do_not():
    values = json.loads(CALIBRATED.to_json())
    assert ModelSpec.from_json(json.dumps(values)) == CALIBRATED
    del values["calibration"]
    assert ModelSpec.from_json(json.dumps(values)).calibration is None
    for bad in ({"scale": 0}, {"scale": 1, "exponent": -1}, {"scale": 1, "later": 2}, 3):
        with pytest.raises(LightDepthError, match=r"calibrat|can't be read"):
            ModelSpec.from_json(json.dumps({**values, "calibration": bad}))
