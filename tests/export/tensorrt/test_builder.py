"""Real TensorRT-RTX builds: they need no GPU, and cost a second or two each."""

import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_export.onnx.fp16 import to_fp16
from lightdepth_export.onnx.trace import trace_onnx
from lightdepth_export.tensorrt.builder import build_engine
from lightdepth_export.tensorrt.layers import check_precision
from lightdepth_export.tensorrt.options import BatchRange, BuildOptions
from lightdepth_export.tensorrt.save import kept_convolutions
from lightdepth_runtime.errors import LightDepthError

trt = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")


def write(model, folder, name="model.onnx"):
    path = folder / name
    onnx.save_model(model, str(path))
    return path


def open_batch(model):
    """Leave the batch of a traced graph open: it has no operator that states a shape."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    for tensor in (*copy.graph.input, *copy.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    del copy.graph.value_info[:]
    return onnx.shape_inference.infer_shapes(copy, strict_mode=True)


def one_node(op="Conv", weight=np.float32, batch=1):
    """A graph of one node named "only"."""
    kernel = numpy_helper.from_array(np.ones((4, 3, 3, 3), weight), "kernel")
    node = helper.make_node(op, ["image", "kernel"], ["depth"], name="only")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, (batch, 3, 32, 32))
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "one", [image], [depth], [kernel])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_every_convolution_of_an_fp32_graph_is_planned_in_float(each, tmp_path):
    _, fp32 = each
    built = build_engine(trt, write(fp32, tmp_path))
    check_precision(built.layers, "fp32")
    assert set(built.layers.convolutions) == {node.name for node in fp32.graph.node if node.op_type == "Conv"}
    assert built.plan[:4] == b"vtrt"
    with pytest.raises(LightDepthError, match="are not Half in this fp16 engine"):
        check_precision(built.layers, "fp16")


def test_every_convolution_of_an_fp16_graph_is_planned_in_half_save_the_head(each, tmp_path):
    model = to_fp16(each[1])
    built = build_engine(
        trt, write(model, tmp_path), options=BuildOptions(compute_capabilities=("8.6", "sm89"), workspace_bytes=1 << 28)
    )
    check_precision(built.layers, "fp16", keep=kept_convolutions(model, "fp16"))
    assert built.layers.other_than("fp16") == [list(built.layers.convolutions)[-1]]
    assert built.layers.counts() == {"Half": len(built.layers.convolutions) - 1, "Float": 1}
    assert built.compute_capabilities == ("sm86", "sm89")


def test_an_open_batch_is_built_for_its_range_in_half(each, tmp_path):
    built = build_engine(
        trt, write(to_fp16(open_batch(each[1])), tmp_path), options=BuildOptions(batch=BatchRange(1, 2, 4))
    )
    check_precision(built.layers, "fp16", keep=list(built.layers.convolutions)[-1:])
    assert [shape[0] for shape in built.shapes] == [1, 2, 4]


def test_a_graph_traced_with_an_open_batch_is_built(tiny, spec, tmp_path):
    path = write(trace_onnx(tiny, spec, dynamic_batch=True), tmp_path)
    built = build_engine(trt, path, options=BuildOptions(batch=BatchRange(1, 1, 4)))
    assert built.layers.counts() == {"Float": 3}


def test_quantized_convolutions_are_planned_in_int8_save_those_left_out(tiny, spec, tmp_path):
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

    class Noise(CalibrationDataReader):
        batches = iter([{"image": np.random.default_rng(0).normal(size=(1, 3, 64, 96)).astype(np.float32)}])

        def get_next(self):
            return next(self.batches, None)

    traced = trace_onnx(tiny, spec)
    head = next(node.name for node in reversed(traced.graph.node) if node.op_type == "Conv")
    source, target = write(traced, tmp_path), tmp_path / "model.int8.onnx"
    quantize_static(
        source,
        target,
        Noise(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        activation_type=QuantType.QInt8,
        weight_type=QuantType.QInt8,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[head],
        extra_options={"ActivationSymmetric": True, "QuantizeBias": False},
    )
    keep = kept_convolutions(onnx.load_model(target), "int8")
    built = build_engine(trt, target)
    check_precision(built.layers, "int8", keep=keep)
    assert (keep, built.layers.counts()) == ([head], {"Int8": 2, "Float": 1})


def test_progress_is_told_and_an_error_in_it_stops_the_build(tmp_path):
    path, told = write(one_node(), tmp_path), []
    build_engine(trt, path, progress=lambda *step: told.append(step))
    assert any(done == total > 0 for _, done, total in told)

    def interrupt(*step):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_engine(trt, path, progress=interrupt)


def test_a_mixed_precision_graph_is_refused_with_the_parsers_words(tmp_path):
    with pytest.raises(LightDepthError, match=r"only.*must be of same type") as caught:
        build_engine(trt, write(one_node(weight=np.float16), tmp_path))
    assert "`kernel` is of type Half" in str(caught.value)


def test_an_unknown_operator_is_named(tmp_path):
    with pytest.raises(LightDepthError, match=r"Frobnicate only: .*Plugin not found"):
        build_engine(trt, write(one_node("Frobnicate"), tmp_path))


def test_an_open_batch_without_a_range_is_refused(tmp_path):
    with pytest.raises(LightDepthError, match=r"leaves its batch open.*--batch MIN,OPT,MAX"):
        build_engine(trt, write(one_node(batch="batch"), tmp_path))


def test_a_range_for_a_fixed_batch_is_refused(tmp_path):
    with pytest.raises(LightDepthError, match="takes no batch range"):
        build_engine(trt, write(one_node(), tmp_path), options=BuildOptions(batch=BatchRange(1, 1, 4)))


@pytest.mark.parametrize("content", [b"", b"not onnx" * 20])
def test_a_file_that_is_no_onnx_is_refused(content, tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(LightDepthError, match=r"can't parse .*model.onnx|one image"):
        build_engine(trt, path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(LightDepthError, match="No such file"):
        build_engine(trt, tmp_path / "model.onnx")


FAILING_BUILD = """
import sys, types
import tensorrt_rtx
from lightdepth_export.tensorrt.builder import build_engine
from lightdepth_runtime.errors import LightDepthError

class Builder(tensorrt_rtx.Builder):
    def build_serialized_network(self, network, config):  # for the GPU of a machine that has none
        config.num_compute_capabilities = 1
        config.set_compute_capability(tensorrt_rtx.ComputeCapability.CURRENT, 0)
        return super().build_serialized_network(network, config)

trt = types.ModuleType("tensorrt_rtx")
trt.__dict__.update(vars(tensorrt_rtx), Builder=Builder)
try:
    build_engine(trt, sys.argv[1])
except LightDepthError as error:
    print(error)
"""


def test_a_failed_build_says_what_tensorrt_logged(tmp_path):
    """In a process of its own: a failed build can spoil later ones."""
    if gpu_is_here():
        pytest.skip("this machine has a GPU, for which the build succeeds")
    path = write(one_node(), tmp_path)
    run = subprocess.run([sys.executable, "-c", FAILING_BUILD, str(path)], capture_output=True, text=True, timeout=100)
    assert run.stdout.startswith(f"TensorRT built no engine of {path}: "), run.stderr
    assert "Cuda Runtime" in run.stdout


def gpu_is_here():
    from lightdepth_runtime.backends.device_buffers import open_cuda

    try:
        open_cuda()
    except LightDepthError:
        return False
    return True
