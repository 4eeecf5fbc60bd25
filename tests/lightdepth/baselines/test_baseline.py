from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from lightdepth.baselines.baseline import Baseline
from lightdepth_runtime.backends.baseline import baseline_input, open_baseline
from lightdepth_runtime.pairs import load_pairs

pytestmark = pytest.mark.usefixtures("exported_once")


@pytest.fixture(scope="module")
def baseline(tiny_depth_anything, exported_once):
    with Baseline(str(tiny_depth_anything), device="cpu", threads=1) as opened:
        yield opened


@pytest.fixture
def frame(tum):
    return load_pairs(tum, "test").pairs[0].read().image


def test_onnx_runtime_and_pytorch_agree(baseline, frame):
    got = baseline(frame)
    spec = open_baseline(baseline.export(*frame.shape[:2]), "cpu", 1).spec
    with torch.inference_mode():
        expected = baseline.model.network(torch.from_numpy(baseline_input(frame, spec))[None])[0].numpy()
    assert got.shape == (spec.input_height, spec.input_width)
    assert np.ptp(expected) > 0.05, "a flat map would agree with anything"
    assert np.abs(got - expected).max() < 1e-4


@pytest.mark.slow
def test_each_frame_shape_gets_its_own_input_size(baseline, frame):
    assert baseline(frame).shape == (70, 98)
    assert baseline(np.ascontiguousarray(frame.transpose(1, 0, 2))).shape == (98, 70)


def test_the_file_says_that_it_is_not_metric(baseline):
    spec = open_baseline(baseline.export(120, 160), "cpu", 1).spec
    assert spec.kind == "relative-inverse"
    assert spec.parameters == baseline.model.parameters
    assert spec.gmacs is not None
    assert spec.gmacs > 0
    assert not spec.is_random


def test_the_file_is_one_piece_of_standard_onnx(baseline):
    model = onnx.load_model(str(baseline.export(120, 160)), load_external_data=False)
    onnx.checker.check_model(model)
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}


@pytest.mark.slow
def test_a_half_precision_file_takes_and_gives_float_and_computes_in_half(baseline):
    path = baseline.export(120, 160, "fp16")
    graph = onnx.load_model(str(path)).graph
    types = {onnx.TensorProto.FLOAT}
    assert {value.type.tensor_type.elem_type for value in (*graph.input, *graph.output)} == types
    kernels = {node.input[1] for node in graph.node if node.op_type == "Conv"}
    assert {w.data_type for w in graph.initializer if w.name in kernels} == {onnx.TensorProto.FLOAT16}
    half, full = (open_baseline(path, "cpu") for path in (path, baseline.export(120, 160)))
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert half.spec.precision == "fp16"
    np.testing.assert_allclose(half(frame), full(frame), rtol=0.05, atol=0.05)


def test_closing_deletes_the_exported_files(tiny_depth_anything):
    with Baseline(str(tiny_depth_anything)) as opened:
        path = Path(opened.export(120, 160))
        assert path.exists()
    assert not path.exists()
