import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_export.onnx.fp16 import FP16_MAX
from lightdepth_export.onnx.fp16_simulation import OverflowMargin, measure_overflow, simulate_fp16
from lightdepth_export.onnx.metadata import embed_spec
from lightdepth_runtime.spec import ModelSpec


def run(model, batch):
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"image": batch})[0]


def half_graph(factor):
    """Build image -> half -> * factor -> * 1/factor -> float: two roundings that a plain FP32 run would not show."""
    nodes = [
        helper.make_node("Cast", ["image"], ["x"], to=TensorProto.FLOAT16),
        helper.make_node("Mul", ["x", "up"], ["y"]),
        helper.make_node("Mul", ["y", "down"], ["z"]),
        helper.make_node("Cast", ["z"], ["depth"], to=TensorProto.FLOAT),
    ]
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [4096]) for n in ("image", "depth")]
    weights = [numpy_helper.from_array(np.array(f, np.float16), n) for n, f in (("up", factor), ("down", 1 / factor))]
    graph = helper.make_graph(nodes, "half", values[:1], values[1:], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    embed_spec(model, ModelSpec(name="half", input_height=32, input_width=32, parameters=0))
    return model


def test_simulated_values_equal_numpys_binary16_to_the_bit():
    values = np.random.default_rng(0).uniform(0.1, 10, 4096).astype(np.float32)
    got = run(simulate_fp16(half_graph(3.0)), values)
    expected = values.astype(np.float16) * np.float16(3.0) * np.float16(1 / 3.0)
    np.testing.assert_array_equal(got, expected.astype(np.float32))


def test_a_value_past_binary16_turns_infinite():
    got = run(simulate_fp16(half_graph(1000.0)), np.full(4096, 70.0, np.float32))
    assert np.isinf(got).all()


def test_a_network_rounds_by_more_than_its_weights_alone(fp32, fp16, batches):
    exact = run(fp32, batches[0])
    weights_only = np.abs(run(fp16, batches[0]) - exact).mean()  # ONNX Runtime's CPU: FP16 weights, FP32 sums
    simulated = np.abs(run(simulate_fp16(fp16), batches[0]) - exact).mean()
    assert weights_only < simulated < 0.01 * exact.mean()


def test_the_simulation_agrees_with_pytorchs_half_on_the_cpu(network, fp16, batches):
    import copy

    import torch

    body, head = copy.deepcopy(network).half(), copy.deepcopy(network.head)
    captured = []
    body.head.to_depth.register_forward_pre_hook(lambda module, inputs: captured.append(inputs[0]))
    with torch.inference_mode():
        body(torch.from_numpy(batches[0]).half())
        head.features = torch.nn.Identity()
        expected = head(captured[0].float()).numpy()
    exact = np.abs(run(simulate_fp16(fp16), batches[0]) - expected).mean()
    assert exact < 2e-3 * expected.mean()  # BatchNorm is folded in one and rounds by itself in the other


def test_the_simulated_graph_has_no_fp16_arithmetic(fp16):
    simulated = onnx.shape_inference.infer_shapes(simulate_fp16(fp16))
    types = {v.name: v.type.tensor_type.elem_type for v in simulated.graph.value_info}
    halves = [n for n in simulated.graph.node if any(types.get(name) == TensorProto.FLOAT16 for name in n.output)]
    assert halves
    assert {node.op_type for node in halves} == {"Cast"}


def test_the_overflow_margin_is_the_largest_activation_of_the_fp16_part(fp32, fp16, batches):
    margin = measure_overflow(fp32, fp16, batches)
    every = onnx.ModelProto.FromString(fp32.SerializeToString())
    every.graph.output.append(helper.make_tensor_value_info(margin.tensor, TensorProto.FLOAT, None))
    session = onnxruntime.InferenceSession(every.SerializeToString())
    expected = max(np.abs(session.run([margin.tensor], {"image": batch})[0]).max() for batch in batches)
    assert margin.largest_activation == pytest.approx(expected, rel=1e-5)
    assert margin.images == len(batches)
    assert margin.margin == pytest.approx(FP16_MAX / expected, rel=1e-5)


def test_an_all_zero_network_has_a_finite_margin():
    assert np.isfinite(OverflowMargin(0.0, "x", 1).margin)
