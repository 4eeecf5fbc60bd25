"""A checkpoint whose work is recorded once and replayed, on a fake of PyTorch's CUDA graphs."""

import numpy as np
import pytest
import torch
from fakes.torch_cuda import install_torch_cuda

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth.network.model import LightDepth
from lightdepth_runtime import DepthEstimator, ModelSpec

SPEC = ModelSpec(name="small", input_height=32, input_width=64, parameters=1, sigma_tensor="sigma")
TOLERANCE = {"fp32": 1e-5, "fp16": 1e-2}  # relative; FP16 has 11 bits of mantissa


def images(count, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 32, 64)).astype(np.float32)


@pytest.fixture(params=["fp32", "fp16"])
def both(request, monkeypatch):
    """The same network, recorded, and run operation by operation in FP32."""
    torch.manual_seed(0)
    networks = [LightDepth("resnet10t", decoder_channels=(8, 8, 8, 8), confidence=True) for _ in range(2)]
    with torch.no_grad():  # as initialised, depth of two images differs by less than FP16's tolerance
        networks[0].eval().head.to_depth.weight.mul_(50)
        one, other = (networks[0](torch.from_numpy(images(1, seed)))[0] for seed in (0, 1))
    assert (one / other - 1).abs().max() > 0.1
    networks[1].load_state_dict(networks[0].state_dict())
    install_torch_cuda(monkeypatch)
    recorded = TorchBackend(networks[0], SPEC.with_changes(precision=request.param), "cpu", recorded=True)
    return recorded, TorchBackend(networks[1], SPEC, "cpu")


def test_every_batch_gets_its_own_metres_and_sigma(both):
    recorded, plain = both
    rtol = TOLERANCE[recorded.spec.precision]
    for count in (1, 2, 1):
        for seed in range(2):
            batch = images(count, seed)
            np.testing.assert_allclose(recorded.run(batch), plain.run(batch), rtol=rtol)
            for got, wanted in zip(recorded.run_both(batch), plain.run_both(batch), strict=True):
                np.testing.assert_allclose(got, wanted, rtol=rtol)
    assert recorded.device_reason == "as asked for"


def test_a_result_stays_as_it_is_and_the_callers_array_too(both):
    recorded, _ = both
    batch = images(1, seed=1)
    given, depth_m = batch.copy(), recorded.run(batch)
    kept = depth_m.copy()
    recorded.run(images(1, seed=2))
    np.testing.assert_array_equal(depth_m, kept)
    np.testing.assert_array_equal(batch, given)


def test_the_estimator_writes_into_the_staging_memory(both):
    recorded, plain = both
    frame = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    estimator = DepthEstimator(recorded)
    assert np.shares_memory(estimator._batch, recorded.empty_input(1))
    rtol = TOLERANCE[recorded.spec.precision]
    np.testing.assert_allclose(estimator(frame), DepthEstimator(plain)(frame), rtol=rtol)
