"""The second output: one contract for every backend, and `DepthEstimator.predict` over it."""

import numpy as np
import onnx
import pytest
import torch
from fakes.cuda import FakeCudart
from fakes.tensorrt import PLAN, SPEC, expected, fake_tensorrt, images, network_bytes

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth_runtime import DepthEstimator, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend, open_backend
from lightdepth_runtime.backends.device_buffers import CudaDevice
from lightdepth_runtime.backends.tensorrt.backend import TensorRTBackend
from lightdepth_runtime.spec import SPEC_KEY, DepthCalibration

SURE = SPEC.with_changes(sigma_tensor="sigma")


class TorchTwin(torch.nn.Module):
    """The network of `network_bytes` in PyTorch."""

    def forward(self, image):
        depth_m = 1 + (image * torch.tensor([1.0, 2.0, 3.0])[:, None, None]).sum(1, keepdim=True)
        return depth_m, 2 * depth_m


def write_onnx(path, spec, *, batch=None):
    model = onnx.load_from_string(network_bytes())
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    if batch is not None:
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = batch
    onnx.save_model(model, path)
    return path


@pytest.fixture(params=["torch", "onnx, batch 1", "onnx, any batch", "openvino", "tensorrt", "tensorrt, graph"])
def backend(request, tmp_path):
    kind, _, form = request.param.partition(", ")
    if kind == "torch":
        return TorchBackend(TorchTwin(), SURE, "cpu")
    if kind == "tensorrt":
        cudart = FakeCudart()
        trt = fake_tensorrt(cudart, batches=(1, 2), outputs=("depth", "sigma"))
        return TensorRTBackend(trt, PLAN, SURE, CudaDevice(cudart), cuda_graph=form == "graph")
    if kind == "openvino":
        pytest.importorskip("openvino")
    path = write_onnx(tmp_path / "m.onnx", SURE, batch=1 if form == "batch 1" else None)
    return open_backend(path, "openvino" if kind == "openvino" else "cpu", 1)


@pytest.mark.parametrize("count", [1, 2])
def test_depth_and_sigma_come_from_one_run(backend, count):
    for seed in range(3):
        batch = images(count, seed=seed)
        depth_m, sigma = backend.run_both(batch)
        np.testing.assert_allclose(depth_m, expected(batch), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sigma, 2 * expected(batch), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)


def test_both_stay_as_they_are_when_the_next_frame_runs(backend):
    both = backend.run_both(images(seed=1))
    kept = [array.copy() for array in both]
    backend.run_both(images(seed=2))
    for array, copy in zip(both, kept, strict=True):
        assert array.dtype == np.float32
        assert array.flags.writeable
        np.testing.assert_array_equal(array, copy)


def test_a_closed_backend_refuses_both(backend):
    backend.close()
    with pytest.raises(LightDepthError, match="was closed"):
        backend.run_both(images())


def test_a_model_without_sigma_says_so_in_every_backend(tmp_path):
    cudart = FakeCudart()
    backends = [
        FakeBackend(SPEC),
        TorchBackend(torch.nn.Identity(), SPEC, "cpu"),
        open_backend(write_onnx(tmp_path / "m.onnx", SPEC), "cpu"),
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart)),
    ]
    for backend in backends:
        with pytest.raises(LightDepthError, match="fake gives depth without sigma; use a model"):
            backend.run_both(images())
        with pytest.raises(LightDepthError, match="fake gives depth without sigma; use a model"):
            DepthEstimator(backend).predict(np.zeros((8, 8, 3), np.uint8))


@pytest.mark.parametrize("device", ["cpu", "openvino"])
def test_a_file_without_the_sigma_that_its_spec_names_is_refused(tmp_path, device):
    if device == "openvino":
        pytest.importorskip("openvino")
    path = write_onnx(tmp_path / "m.onnx", SPEC.with_changes(sigma_tensor="uncertainty"))
    with pytest.raises(LightDepthError, match="'uncertainty'; export it again"):
        open_backend(path, device)


def test_an_engine_without_the_sigma_that_its_spec_names_is_refused():
    cudart = FakeCudart()
    with pytest.raises(LightDepthError, match=r"tensors are depth, image, and its spec says depth, image, sigma"):
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SURE, CudaDevice(cudart))


def test_the_spec_keeps_sigma_in_json_and_old_specs_have_none():
    calibrated = SURE.with_changes(calibration=DepthCalibration(2.0, sigma_factor=1.5))
    assert ModelSpec.from_json(calibrated.to_json()) == calibrated
    old = SPEC.to_json().replace('"sigma_tensor": null, ', "")
    assert "sigma" not in old
    assert ModelSpec.from_json(old).sigma_tensor is None
    with pytest.raises(LightDepthError, match="positive scale, exponent and sigma factor"):
        DepthCalibration(1.0, sigma_factor=0.0)


# The estimator


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)


def test_a_prediction_is_the_calls_depth_with_sigma_at_the_frames_size(image):
    estimator = DepthEstimator(FakeBackend(SURE))
    prediction = estimator.predict(image)
    np.testing.assert_array_equal(prediction.depth_m, estimator(image))
    np.testing.assert_allclose(prediction.sigma, 0.1 * prediction.depth_m, rtol=1e-5)
    assert (prediction.sigma.shape, prediction.sigma.dtype) == ((48, 80), np.float32)
    assert estimator.predict(image, resolution="model").sigma.shape == (32, 64)


def test_a_calibration_scales_depth_and_its_sigma_factor_scales_sigma(image):
    camera = {"calibration": DepthCalibration(3.0, sigma_factor=2.0)}
    plain, calibrated = DepthEstimator(FakeBackend(SURE)), DepthEstimator(FakeBackend(SURE.with_changes(**camera)))
    before, after = plain.predict(image), calibrated.predict(image)
    np.testing.assert_allclose(after.depth_m, 3 * before.depth_m, rtol=1e-5)
    np.testing.assert_allclose(after.sigma, 2 * before.sigma, rtol=1e-5)


def test_a_call_does_not_ask_for_sigma(image):
    backend = FakeBackend(SURE)
    backend.run_both = lambda batch: pytest.fail("a call costs nothing more")
    DepthEstimator(backend)(image)
