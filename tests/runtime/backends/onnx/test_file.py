"""A file that is newer than the installed ONNX Runtime names both versions and the package."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from lightdepth_runtime.backends.onnx import session as onnx_session
from lightdepth_runtime.backends.onnx.file import OnnxVersions, onnx_versions
from lightdepth_runtime.backends.onnx.session import has_nvidia_device, open_session
from lightdepth_runtime.errors import LightDepthError

onnxruntime = pytest.importorskip("onnxruntime")


def write(path, *, ir, opset):
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [value], [result])
    opsets = [helper.make_opsetid("ai.onnx.ml", 3), helper.make_opsetid("", opset)]
    path.write_bytes(helper.make_model(graph, ir_version=ir, opset_imports=opsets).SerializeToString())
    return path


def test_the_versions_of_a_file_are_those_that_onnx_writes(tmp_path):
    path = write(tmp_path / "a.onnx", ir=9, opset=18)
    model = onnx.load(path)
    assert onnx_versions(path) == OnnxVersions(model.ir_version, 18) == (9, 18)
    path.write_bytes(b"\xff" * 20)
    assert onnx_versions(path) is None
    assert onnx_versions(tmp_path / "none") is None


@pytest.mark.parametrize("newer", [{"ir": 99, "opset": 18}, {"ir": 9, "opset": 999}])
def test_a_file_newer_than_the_runtime_names_both_versions_and_the_package(tmp_path, newer):
    path = write(tmp_path / "a.onnx", **newer)
    with pytest.raises(LightDepthError) as caught:
        open_session(path, "cpu", 1)
    text = str(caught.value)
    assert f"IR version {newer['ir']} and opset {newer['opset']}" in text
    assert f"onnxruntime {onnxruntime.__version__}" in text or f"onnxruntime-gpu {onnxruntime.__version__}" in text
    assert "pip install -U onnxruntime" in text
    assert "\n" not in text


def test_operators_of_another_domain_that_are_too_new_are_named(tmp_path):
    graph = helper.make_graph([], "g", [], [])
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 99)]
    (tmp_path / "a.onnx").write_bytes(helper.make_model(graph, ir_version=9, opset_imports=opsets).SerializeToString())
    with pytest.raises(
        LightDepthError, match=r"opset 18, with opset 99 of ai\.onnx\.ml, newer than .*reads up to opset"
    ):
        open_session(tmp_path / "a.onnx", "cpu", 1)


def test_a_refusal_keeps_the_end_of_the_reason_which_is_the_cause_and_the_way_out(tmp_path):
    shape = helper.make_tensor_value_info("x" * 300, onnx.TensorProto.FLOAT, [1])
    output = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("NoSuchOperator", ["x" * 300], ["y"])], "g", [shape], [output])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(LightDepthError, match=r"No Op registered for NoSuchOperator .*; update ONNX Runtime"):
        open_session(tmp_path / "a.onnx", "cpu", 1)
    weights = onnx.numpy_helper.from_array(np.ones(2000, np.float32), "x")
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [], [output], [weights])
    model = helper.make_model(graph, ir_version=9, opset_imports=[helper.make_opsetid("", 18)])
    onnx.save(model, tmp_path / "b.onnx", save_as_external_data=True, location="b.data")
    (tmp_path / "b.data").unlink()
    with pytest.raises(LightDepthError, match=r"b\.data.*; copy the file of its weights beside it"):
        open_session(tmp_path / "b.onnx", "cpu", 1)


@pytest.mark.parametrize(
    ("name", "is_gpu"),
    [
        ("nvidia0", True),
        ("nvidia1", True),
        ("nvidia12", True),
        ("dxg", True),
        ("nvidiactl", False),
        ("nvidia-uvm", False),
        ("null", False),
    ],
)
def test_any_numbered_nvidia_device_is_a_gpu_and_the_control_files_alone_are_none(tmp_path, monkeypatch, name, is_gpu):
    monkeypatch.setattr(onnx_session, "DEVICES", tmp_path)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    (tmp_path / name).touch()
    assert has_nvidia_device() is is_gpu
