"""A network with two outputs through every form of an export."""

import numpy as np
import onnx
import pytest
import torch

from lightdepth.network.model import LightDepth
from lightdepth_export.onnx.backend import open_graph
from lightdepth_export.onnx.forms import fp16_form, fp32_form
from lightdepth_export.onnx.fp16 import head_nodes, to_fp16
from lightdepth_export.onnx.int8 import quantize_int8
from lightdepth_export.onnx.metadata import spec_of
from lightdepth_export.onnx.preprocessing import embed_preprocessing
from lightdepth_export.onnx.trace import trace_onnx
from lightdepth_export.parity.compare import check_parity
from lightdepth_export.parity.frames import Frame
from lightdepth_export.parity.gate import ParityThresholds, StepParity, gate
from lightdepth_export.parity.golden import write_golden
from lightdepth_export.tensorrt.save import kept_convolutions
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec("confident", 64, 96, parameters=0, sigma_tensor="sigma")


@pytest.fixture(scope="module")
def network():
    with torch.random.fork_rng():
        torch.manual_seed(2)
        network = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8], confidence=True)
        with torch.no_grad():  # untrained, sigma is nearly the same everywhere
            network.head.to_sigma.weight.mul_(5)
    return network.eval()


@pytest.fixture(scope="module")
def fp32(network):
    return trace_onnx(network, SPEC)


@pytest.fixture
def frames(tum):
    return [Frame(p.name, d.image, d.depth_m) for p in load_pairs(tum, "test").pairs for d in [p.read()]]


def test_the_graph_gives_what_pytorch_gives_under_both_names(network, fp32, frames):
    assert [output.name for output in fp32.graph.output] == ["depth", "sigma"]
    batch = preprocess(frames[0].image, SPEC)[None]
    depth_m, sigma = open_graph(fp32).run_both(batch)
    with torch.no_grad():
        expected = network(torch.from_numpy(batch))
    np.testing.assert_allclose(depth_m, expected[0].numpy(), rtol=1e-4)
    np.testing.assert_allclose(sigma, expected[1].numpy(), rtol=1e-4)
    assert np.ptp(sigma) > 0


def test_fp16_keeps_both_heads_in_fp32(fp32, frames):
    head = head_nodes(fp32.graph)
    kinds = [fp32.graph.node[i].op_type for i in head]
    assert kinds.count("Conv") == 2
    half = to_fp16(fp32)
    assert {o.name: o.type.tensor_type.elem_type for o in half.graph.output} == {
        "depth": onnx.TensorProto.FLOAT,
        "sigma": onnx.TensorProto.FLOAT,
    }
    weights = {t.name: t.data_type for t in half.graph.initializer}
    convolutions = [n for n in half.graph.node if n.op_type == "Conv"]
    in_float = [n for n in convolutions if weights[n.input[1]] == onnx.TensorProto.FLOAT]
    assert len(in_float) == 2
    assert kept_convolutions(half, "fp16") == [n.name for n in in_float], "an engine may have them in FP32"
    steps = check_parity(open_graph(fp32), {"fp16": fp16_form(fp32).open(None)}, frames)
    assert 0 < steps[0].sigma_change < 0.01
    gate(steps[0], ParityThresholds())


def test_int8_keeps_both_heads_in_fp32_and_both_outputs(fp32, frames):
    batches = [preprocess(frame.image, SPEC)[None] for frame in frames]
    quantized = quantize_int8(fp32, batches, target="cpu", allowed_abs_rel=0.5)
    depth_m, sigma = open_graph(quantized).run_both(batches[0])
    expected_m, expected_sigma = open_graph(fp32).run_both(batches[0])
    assert np.mean(np.abs(depth_m / expected_m - 1)) < 0.1
    assert np.mean(np.abs(sigma / expected_sigma - 1)) < 0.1
    heads = [
        n for n in quantized.graph.node if n.op_type == "Conv" and not n.input[1].endswith("DequantizeLinear_Output")
    ]
    assert len(heads) == 2


def test_embedded_preprocessing_brings_sigma_to_the_frames_size(fp32, frames):
    height, width = frames[0].image.shape[:2]
    embedded = embed_preprocessing(fp32, height, width)
    spec = spec_of(embedded)
    assert (spec.output_name, spec.sigma_tensor) == ("frame_depth", "frame_sigma")
    got = DepthEstimator(open_graph(embedded)).predict(frames[0].image)
    expected = DepthEstimator(open_graph(fp32)).predict(frames[0].image)
    np.testing.assert_allclose(got.sigma, expected.sigma, rtol=0.02)
    np.testing.assert_allclose(got.depth_m, expected.depth_m, rtol=0.02)


def test_a_sigma_that_did_not_survive_is_refused(network, fp32, frames):
    other = trace_onnx(network, SPEC)
    bias = next(t for t in other.graph.initializer if t.name.endswith("to_sigma.bias"))
    bias.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(bias) + np.float32(0.05), bias.name))
    step = check_parity(open_graph(fp32), {"fp32": open_graph(other)}, frames)[0]
    assert step.max_abs_diff_m == 0
    assert step.sigma_change == pytest.approx(np.expm1(0.05), rel=0.01)
    with pytest.raises(LightDepthError, match=r"sigma_change is 0\.051"):
        gate(step, ParityThresholds())


def test_networks_without_sigma_have_none_in_their_report():
    step = StepParity("s", "fp32", "r", "c", 1, 0.0, 0.0, 0.0, 0)
    gate(step, ParityThresholds())
    assert step.to_dict()["sigma_change"] is None


def test_the_golden_example_holds_sigma(fp32, frames, tmp_path):
    folder = write_golden(tmp_path / "golden", frames[0], fp32_form(fp32).open(None), {"onnx-fp32": 1e-3})
    sigma, whole = np.load(folder / "sigma.npy"), np.load(folder / "frame_sigma.npy")
    assert sigma.shape == (1, 1, 64, 96)
    assert whole.shape == frames[0].image.shape[:2]
    assert "`sigma`" in (folder / "README.md").read_text()
