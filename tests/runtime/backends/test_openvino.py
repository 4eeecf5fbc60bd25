"""OpenVINO gives ONNX Runtime's metres; skipped where it isn't installed."""

import sys

import numpy as np
import pytest
import torch

from lightdepth.network.model import LightDepth
from lightdepth_export.onnx.trace import export_onnx
from lightdepth_runtime import DepthEstimator, LightDepthError, ModelSpec
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.images.decode import read_image

SPEC = ModelSpec(name="tiny", input_height=64, input_width=96, parameters=1)
TOLERANCE_M = 1e-4  # FP32 on both sides; other kernels add up in another order


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    torch.manual_seed(0)
    network = LightDepth("resnet10t", decoder_channels=(8, 8, 8, 8)).eval()
    folder = tmp_path_factory.mktemp("onnx")
    export_onnx(network, SPEC, folder / "one.onnx")
    export_onnx(network, SPEC, folder / "any.onnx", dynamic_batch=True)
    return folder


def test_metres_are_onnx_runtimes_on_a_real_frame(exported, tum):
    pytest.importorskip("openvino")
    image = read_image(sorted(tum.rglob("*_rgb.jpg"))[0])
    expected = DepthEstimator.load(exported / "one.onnx", "cpu", 1)(image)
    with DepthEstimator.load(exported / "one.onnx", "openvino", 1) as estimator:
        np.testing.assert_allclose(estimator(image), expected, atol=TOLERANCE_M, rtol=0)
        assert (estimator.backend.name, estimator.backend.device) == ("openvino", "cpu")
        assert estimator.spec == SPEC
    with pytest.raises(LightDepthError, match="closed"):
        estimator(image)


@pytest.mark.parametrize("name", ["one.onnx", "any.onnx"])
def test_batches_and_results_that_stay_the_callers(exported, name):
    pytest.importorskip("openvino")
    backend = open_backend(exported / name, "openvino", 1)
    batch = np.random.default_rng(0).standard_normal((3, 3, 64, 96)).astype(np.float32)
    together = backend.run(batch)
    kept = together.copy()
    assert together.shape == (3, 1, 64, 96)
    for index in range(3):
        np.testing.assert_allclose(backend.run(batch[index : index + 1])[0], kept[index], atol=TOLERANCE_M)
    np.testing.assert_array_equal(together, kept)


def test_what_it_can_not_open_is_refused_in_one_sentence(exported, tmp_path):
    pytest.importorskip("openvino")
    (tmp_path / "cut.onnx").write_bytes((exported / "one.onnx").read_bytes()[:5000])
    (tmp_path / "m.safetensors").write_bytes(b"x")
    for name, message in (("cut.onnx", "can't be opened by OpenVINO"), ("m.safetensors", r"opens \.onnx files")):
        with pytest.raises(LightDepthError, match=message) as caught:
            open_backend(tmp_path / name, "openvino")
        assert "\n" not in str(caught.value)


def test_where_it_is_missing_the_pip_line_is_named(exported, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(LightDepthError, match="pip install openvino"):
        open_backend(exported / "one.onnx", "openvino")
