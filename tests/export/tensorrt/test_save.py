"""The JSON beside an engine, with TensorRT-RTX building a graph of one convolution."""

import hashlib

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_export.onnx.metadata import embed_spec
from lightdepth_export.tensorrt.options import BatchRange, BuildOptions
from lightdepth_export.tensorrt.save import build_and_save, engine_path, kept_convolutions
from lightdepth_runtime.backends.device_buffers import GpuInfo
from lightdepth_runtime.backends.engine_file import read_engine_sidecar, read_plan, sidecar_path
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="small", input_height=64, input_width=96, parameters=7)


@pytest.fixture(scope="module")
def trt():
    return pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")


def convolutions(count=1, precision="fp32", batch=1):
    """A chain of FP32 convolutions whose spec claims a precision."""
    nodes, kernels, name = [], [], "image"
    for i in range(count):
        shape = (1 if i == count - 1 else 3, 3, 1, 1)
        kernels.append(numpy_helper.from_array(np.ones(shape, np.float32), f"k{i}"))
        target = "depth" if i == count - 1 else f"x{i}"
        nodes.append(helper.make_node("Conv", [name, f"k{i}"], [target], name=f"conv{i}"))
        name = target
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (batch, 3, 64, 96))
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, (batch, 1, 64, 96))
    graph = helper.make_graph(nodes, "g", [image], [depth], kernels)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    embed_spec(model, SPEC.with_changes(precision=precision))
    return model


@pytest.fixture
def write(tmp_path):
    def write(model, name="m.onnx"):
        onnx.save_model(model, str(tmp_path / name))
        return tmp_path / name

    return write


def test_an_engine_stands_beside_its_onnx_file_under_its_name():
    assert engine_path("out/m.fp16.onnx").as_posix() == "out/m.fp16.engine"


def test_the_json_says_whose_network_it_is_what_built_it_and_for_what(trt, write):
    path = write(convolutions(batch="batch"))
    options = BuildOptions(batch=BatchRange(1, 2, 4), compute_capabilities=("sm86", "sm89"), workspace_bytes=1 << 26)
    saved = build_and_save(trt, path, options=options)
    sidecar = read_engine_sidecar(path.with_suffix(".engine"))
    assert sidecar == saved.sidecar
    assert sidecar.spec == SPEC
    assert (sidecar.flavour, sidecar.tensorrt_version) == ("tensorrt_rtx", trt.__version__)
    assert (sidecar.gpu_name, sidecar.compute_capabilities) == (None, ("sm86", "sm89"))
    assert sidecar.onnx_sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert sidecar.plan_sha256 == hashlib.sha256(saved.path.read_bytes()).hexdigest()
    assert (sidecar.min_shape, sidecar.opt_shape, sidecar.max_shape) == ((1, 3, 64, 96), (2, 3, 64, 96), (4, 3, 64, 96))
    assert (sidecar.precision, sidecar.convolutions) == ("fp32", {"Float": 1})
    assert sidecar.settings["workspace_bytes"] == 1 << 26
    assert read_plan(saved.path, sidecar)[:4] == b"vtrt"
    assert "TensorRT-RTX" in saved.describe()
    assert "sm86, sm89" in saved.describe()


def test_the_gpu_that_it_was_built_on_is_named(trt, write):
    sidecar = build_and_save(trt, write(convolutions()), gpu=GpuInfo("Orin", "sm87")).sidecar
    assert (sidecar.gpu_name, sidecar.compute_capabilities) == ("Orin", ("sm87",))


def test_float_convolutions_under_an_fp16_label_fail_and_leave_nothing(trt, write, tmp_path):
    path = write(convolutions(3, "fp16"))
    with pytest.raises(LightDepthError, match=r"conv0 \(Float\), conv1 \(Float\); export"):
        build_and_save(trt, path)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failed_build_leaves_the_engine_of_before(trt, write):
    path = write(convolutions())
    before = build_and_save(trt, path)
    write(convolutions(3, "fp16"))
    with pytest.raises(LightDepthError):
        build_and_save(trt, path)
    assert read_engine_sidecar(before.path) == before.sidecar


def test_an_onnx_file_without_a_spec_is_refused(trt, write):
    model = convolutions()
    del model.metadata_props[:]
    with pytest.raises(LightDepthError, match="no LightDepth metadata"):
        build_and_save(trt, write(model))


def test_another_suffix_is_refused(trt, write, tmp_path):
    with pytest.raises(LightDepthError, match=r"ends in \.engine"):
        build_and_save(trt, write(convolutions()), output=tmp_path / "m.plan")
    assert not sidecar_path(tmp_path / "m.plan").exists()


def test_the_last_convolution_is_kept_in_fp16_and_none_in_fp32():
    model = convolutions(3)
    assert kept_convolutions(model, "fp16") == ["conv2"]
    assert kept_convolutions(model, "fp32") == []


def test_convolutions_without_quantized_image_and_kernel_are_kept_in_int8():
    model = convolutions(3)
    for node, tensor in ((0, 0), (0, 1), (1, 0)):  # the second has its neighbour's image, and an FP32 kernel
        model.graph.node[node].input[tensor] = f"dequantized{node}{tensor}"
    for name in ("dequantized00", "dequantized01", "dequantized10"):
        model.graph.node.append(helper.make_node("DequantizeLinear", ["q", "s"], [name], name=name))
    assert kept_convolutions(model, "int8") == ["conv1", "conv2"]
