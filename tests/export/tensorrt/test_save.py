"""The JSON beside an engine, with TensorRT-RTX building a graph of one convolution."""

import hashlib
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_export.onnx.backend import open_graph
from lightdepth_export.onnx.metadata import embed_spec
from lightdepth_export.tensorrt.options import BatchRange, BuildOptions
from lightdepth_export.tensorrt.save import build_and_save, engine_path, kept_convolutions
from lightdepth_export.tensorrt.self_test import known_cause
from lightdepth_runtime.backends.device_buffers import GpuInfo
from lightdepth_runtime.backends.tensorrt.engine_file import read_engine_sidecar, read_plan, sidecar_path
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


@pytest.fixture
def on_orin(trt, monkeypatch):
    """Build on a GPU whose engines compute ONNX Runtime's metres, off by so many."""

    class Engine:
        largest_batch = 1

        def __init__(self, trt, plan, spec, cuda, *, cuda_graph):
            self.spec, self._reference = spec, open_graph(on_orin.model)

        def run(self, batch):
            return self._reference.run(batch) + np.float32(on_orin.off_m)

        def close(self):
            self._reference.close()

    def on_orin(path, off_m=0.0, **options):
        on_orin.model, on_orin.off_m = onnx.load_model(path), off_m
        cuda = SimpleNamespace(gpu=lambda: GpuInfo("Orin", "sm87"))
        return build_and_save(trt, path, cuda=cuda, options=BuildOptions(**options))

    monkeypatch.setattr("lightdepth_export.tensorrt.save.TensorRTBackend", Engine)
    return on_orin


def test_the_gpu_that_it_was_built_on_is_named(on_orin, write):
    sidecar = on_orin(write(convolutions())).sidecar
    assert (sidecar.gpu_name, sidecar.compute_capabilities) == ("Orin", ("sm87",))


def test_an_engine_is_run_before_it_is_written_and_its_json_says_how_far_it_is_off(on_orin, write):
    saved = on_orin(write(convolutions()), off_m=1e-4)
    assert saved.sidecar.self_test["frames"] == 3
    assert saved.sidecar.self_test["max_abs_diff_m"] == pytest.approx(1e-4, rel=0.1)
    assert read_engine_sidecar(saved.path) == saved.sidecar
    assert "m from ONNX Runtime on 3 frames" in saved.describe()


@pytest.mark.parametrize("off_m", [0.5, float("nan")])
def test_an_engine_with_wrong_depth_is_refused_and_leaves_nothing(on_orin, write, tmp_path, off_m):
    path = write(convolutions())
    with pytest.raises(LightDepthError, match=rf"up to {off_m:.3g} m from ONNX Runtime's .*nothing was written"):
        on_orin(path, off_m=off_m)
    assert list(tmp_path.iterdir()) == [path]


def test_tf32_is_allowed_its_rounding(on_orin, write):
    with pytest.raises(LightDepthError, match="for fp32"):
        on_orin(write(convolutions()), off_m=0.02)
    on_orin(write(convolutions()), off_m=0.02, tf32=True)


def test_an_engine_built_without_a_gpu_says_that_it_was_not_tested(trt, write):
    saved = build_and_save(trt, write(convolutions()), options=BuildOptions(compute_capabilities=("sm86",)))
    assert saved.describe().endswith("not tested: no GPU took part")


@pytest.mark.parametrize(
    ("operator", "flavour", "version", "is_known"),
    [
        ("Softmax", "tensorrt", "10.3.0.30", True),
        ("Softmax", "tensorrt", "10.13.3.9", False),
        ("Softmax", "tensorrt_rtx", "1.7.1.116", False),
        ("Relu", "tensorrt", "10.3.0.30", False),
    ],
)
def test_wrong_depth_of_tensorrt_10_3_for_transformers_is_a_known_cause(operator, flavour, version, is_known):
    graph = helper.make_graph([helper.make_node(operator, ["image"], ["depth"])], "g", [], [])
    cause = known_cause(helper.make_model(graph), flavour, version)
    assert (cause is not None and "transformer" in cause) == is_known


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
