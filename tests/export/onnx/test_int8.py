from collections import Counter

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper

from lightdepth_export.onnx.backend import open_graph
from lightdepth_export.onnx.fp16 import head_nodes
from lightdepth_export.onnx.int8 import quantize_int8
from lightdepth_export.onnx.metadata import spec_of
from lightdepth_export.onnx.trace import trace_onnx
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.errors import LightDepthError

# An untrained network on synthetic images: what a trained one loses is measured on real pairs by the export itself.
LOSS = 0.05


@pytest.fixture(scope="module")
def tiny_fp32(tiny, spec):
    return trace_onnx(tiny, spec)


@pytest.fixture(scope="module")
def quantized(tiny_fp32, make_frames, spec):
    from lightdepth_runtime.images.preprocess import preprocess

    batches = [preprocess(frame.image, spec)[None] for frame in make_frames(8)]
    return {target: quantize_int8(tiny_fp32, batches, target=target) for target in ("tensorrt", "cpu")}


@pytest.fixture(params=["tensorrt", "cpu"])
def each_quantized(request, quantized):
    return quantized[request.param]


def initializers(model):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def producers(model):
    return {name: node for node in model.graph.node for name in node.output}


def kept_convolutions(model):
    """Name the convolutions whose kernel is in FP32."""
    made_by = producers(model)
    return [node.name for node in model.graph.node if node.op_type == "Conv" and node.input[1] not in made_by]


def head_convolutions(model):
    head = head_nodes(model.graph)
    return [node.name for i, node in enumerate(model.graph.node) if i in head and node.op_type == "Conv"]


def told_loss(line):
    return float(line.split()[-1])


def test_depth_stays_close_to_fp32_on_the_targets_own_arithmetic(each_quantized, tiny_fp32, batches):
    backend, reference = (
        open_graph(each_quantized, fuse=spec_of(each_quantized).quantized_for == "cpu"),
        open_graph(tiny_fp32),
    )
    loss = np.mean([np.abs(backend.run(b) - reference.run(b)) / reference.run(b) for b in batches])
    assert 0 < loss < LOSS


def test_every_convolution_of_the_body_is_int8_and_the_head_is_not(each_quantized):
    made_by = producers(each_quantized)
    convolutions = [node for node in each_quantized.graph.node if node.op_type == "Conv"]
    kinds = [[name in made_by and made_by[name].op_type for name in node.input[:2]] for node in convolutions]
    assert kinds[:-1] == [["DequantizeLinear"] * 2] * (len(kinds) - 1)
    assert kinds[-1][1] != "DequantizeLinear"  # its input was rounded before, its weights are not


def test_the_head_is_as_it_was(each_quantized, tiny_fp32):
    def tail(model):
        head = head_nodes(model.graph)
        return [(n.op_type, n.name) for i, n in enumerate(model.graph.node) if i in head]

    assert tail(each_quantized) == tail(tiny_fp32)


def test_tensorrts_file_is_symmetric_with_float_biases(quantized):
    model = quantized["tensorrt"]
    values = initializers(model)
    pairs = [node for node in model.graph.node if node.op_type in ("QuantizeLinear", "DequantizeLinear")]
    assert pairs
    assert {values[node.input[2]].dtype for node in pairs} == {np.dtype(np.int8)}
    assert all((values[node.input[2]] == 0).all() for node in pairs)
    assert not any(tensor.data_type == TensorProto.INT32 for tensor in model.graph.initializer)


def test_the_cpus_file_keeps_weights_to_seven_bits(quantized):
    model = quantized["cpu"]
    values = initializers(model)
    weights = [values[n.input[0]] for n in model.graph.node if n.op_type == "DequantizeLinear" and n.input[0] in values]
    kernels = [weight for weight in weights if weight.ndim == 4]
    assert kernels
    assert all(kernel.dtype == np.int8 and np.abs(kernel).max() <= 64 for kernel in kernels)


def test_weights_are_quantized_by_channel(each_quantized):
    values = initializers(each_quantized)
    kernels = [
        node
        for node in each_quantized.graph.node
        if node.op_type == "DequantizeLinear" and node.input[0] in values and values[node.input[0]].ndim == 4
    ]
    assert all(values[node.input[1]].shape == (values[node.input[0]].shape[0],) for node in kernels)


def test_the_spec_says_int8_and_the_argument_is_left_alone(tiny_fp32, batches, spec):
    before = tiny_fp32.SerializeToString()
    model = quantize_int8(tiny_fp32, batches, target="cpu")
    assert spec_of(model) == spec.with_changes(precision="int8", quantized_for="cpu")
    assert tiny_fp32.SerializeToString() == before


def test_a_layer_that_int8_ruins_is_found_and_kept(tiny_fp32, batches):
    """A huge weight on a channel that is always zero changes nothing in FP32, but takes INT8's range from others."""
    model = onnx.ModelProto.FromString(tiny_fp32.SerializeToString())
    before, ruined = [node for node in model.graph.node if node.op_type == "Conv"][:2]
    for name, channel, value in (
        (before.input[1], 0, 0),
        (before.input[2], 0, 0),
        (ruined.input[1], (slice(None), 0), 50),
    ):
        tensor = next(tensor for tensor in model.graph.initializer if tensor.name == name)
        values = numpy_helper.to_array(tensor).copy()
        values[channel] = value
        tensor.CopyFrom(numpy_helper.from_array(values, name))
    lines = []
    quantize_int8(model, batches, target="tensorrt", allowed_abs_rel=1.0, say=lines.append)
    spoiled = told_loss(lines[-1])
    rescued = quantize_int8(model, batches, target="tensorrt", allowed_abs_rel=0.9 * spoiled, say=lines.append)
    assert kept_convolutions(rescued) == [ruined.name, *head_convolutions(rescued)]
    assert told_loss(lines[-1]) < spoiled
    assert ruined.name in lines[-1]


def test_a_judge_decides_when_enough_is_kept(tiny_fp32, batches):
    judged = []

    def judge(model):
        judged.append(model)
        if len(judged) == 1:
            raise LightDepthError("too far off")

    quantized = quantize_int8(tiny_fp32, batches, target="cpu", allowed_abs_rel=1.0, judge=judge)
    assert quantized is judged[-1]
    assert len(judged) == 2
    assert len(kept_convolutions(quantized)) > len(head_convolutions(quantized))


def test_the_judge_alone_decides_where_half_in_fp32_misses_the_aim(tiny_fp32, batches):
    lines = []
    quantized = quantize_int8(
        tiny_fp32, batches, target="cpu", allowed_abs_rel=0.0, judge=lambda _: None, say=lines.append
    )
    assert len(kept_convolutions(quantized)) > len(head_convolutions(quantized))
    assert told_loss(lines[-1]) > 0


def test_what_the_judge_never_accepts_is_refused_in_its_words(tiny_fp32, batches):
    def judge(model):
        raise LightDepthError("too far off")

    with pytest.raises(LightDepthError, match=r"INT8 for cpu loses too much .* too far off"):
        quantize_int8(tiny_fp32, batches, target="cpu", allowed_abs_rel=1.0, judge=judge)


def test_a_network_that_int8_cannot_serve_is_refused(tiny_fp32, batches):
    with pytest.raises(LightDepthError, match="use FP16"):
        quantize_int8(tiny_fp32, batches, target="cpu", allowed_abs_rel=0.0)


def test_the_quantizer_is_silent(tiny_fp32, batches, capfd, caplog):
    quantize_int8(tiny_fp32, batches, target="cpu")
    assert capfd.readouterr() == ("", "")
    assert not caplog.records


def test_both_files_pass_the_checker(each_quantized):
    onnx.checker.check_model(each_quantized, full_check=True)
    assert Counter(n.op_type for n in each_quantized.graph.node)["QuantizeLinear"] > 0


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_cpu_computes_its_own_file_rightly_and_refuses_tensorrts(quantized, tiny_fp32, batches, tmp_path, device):
    if device == "openvino":
        pytest.importorskip("openvino")
    for target, made in quantized.items():
        onnx.save_model(made, str(tmp_path / f"{target}.onnx"))
    backend, reference = open_backend(tmp_path / "cpu.onnx", device, 1), open_graph(tiny_fp32)
    loss = np.mean([np.abs(backend.run(b) - reference.run(b)) / reference.run(b) for b in batches])
    assert 0 < loss < LOSS
    with pytest.raises(LightDepthError, match=r"INT8 for TensorRT, and a CPU would .* open the \.int8\.cpu\.onnx"):
        open_backend(tmp_path / "tensorrt.onnx", device, 1)
