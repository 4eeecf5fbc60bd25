"""ONNX Runtime and PyTorch on a real GPU give the CPU's metres; skipped with the reason where there is none."""

import threading

import numpy as np
import onnx
import pytest
import torch

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth.network.model import LightDepth
from lightdepth_export.onnx.fp16 import to_fp16
from lightdepth_export.onnx.preprocessing import embed_preprocessing
from lightdepth_export.onnx.trace import trace_onnx
from lightdepth_runtime import DepthEstimator, LightDepthError, ModelSpec
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.backends.onnx.cuda_session import records_rightly

pytestmark = pytest.mark.gpu

SPEC = ModelSpec(name="small", input_height=64, input_width=96, parameters=1)
# Relative to the depth. FP32: TF32's 10 bits of mantissa in convolutions. FP16: the same, in every layer.
TOLERANCE = {"fp32": 1e-2, "fp16": 2e-2}


@pytest.fixture(scope="module", autouse=True)
def gpu():
    try:
        open_cuda()
    except LightDepthError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def cuda_provider():
    import onnxruntime

    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        pytest.skip("this onnxruntime has no CUDA: pip install onnxruntime-gpu")


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = LightDepth("resnet10t", decoder_channels=(8, 8, 8, 8)).eval()
    with torch.no_grad():  # as initialised, depth of two images differs by less than the tolerance
        network.head.to_depth.weight.mul_(50)
        one, other = (network(torch.from_numpy(images(seed=seed))) for seed in (0, 1))
    assert (one / other - 1).abs().max() > 0.2
    return network


@pytest.fixture(scope="module")
def folder(network, cuda_provider, tmp_path_factory):
    folder = tmp_path_factory.mktemp("onnx")
    fp32 = trace_onnx(network, SPEC)
    onnx.save_model(fp32, folder / "fp32.onnx")
    onnx.save_model(to_fp16(fp32), folder / "fp16.onnx")
    onnx.save_model(trace_onnx(network, SPEC, dynamic_batch=True), folder / "any.onnx")
    onnx.save_model(embed_preprocessing(fp32, 120, 160), folder / "frame.onnx")
    return folder


def images(count=1, seed=0):
    return np.random.default_rng(seed).standard_normal((count, 3, 64, 96)).astype(np.float32)


@pytest.mark.parametrize(("name", "precision"), [("fp32", "fp32"), ("fp16", "fp16"), ("any", "fp32")])
def test_bound_and_recorded_it_gives_the_cpus_metres(folder, name, precision):
    reference, backend = open_backend(folder / "fp32.onnx", "cpu"), open_backend(folder / f"{name}.onnx", "cuda")
    assert (backend.device_reason == "as asked for") == records_rightly(), "a graph of fixed shapes is recorded"
    for seed in range(4):
        for count in (1, 2) if name == "any" else (1,):
            batch = images(count, seed)
            np.testing.assert_allclose(backend.run(batch), reference.run(batch), rtol=TOLERANCE[precision])
    backend.close()


def test_threads_get_what_one_thread_gets(folder):
    backend, reference = open_backend(folder / "fp32.onnx", "cuda"), open_backend(folder / "fp32.onnx", "cpu")
    wanted = [reference.run(images(seed=seed)) for seed in range(3)]
    wrong = []

    def work(seed):
        for _ in range(20):
            if not np.allclose(backend.run(images(seed=seed)), wanted[seed], rtol=TOLERANCE["fp32"]):
                wrong.append(seed)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    backend.close()


def test_a_frame_goes_to_the_gpu_as_bytes(folder):
    frame = np.random.default_rng(0).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    with (
        DepthEstimator.load(folder / "frame.onnx", "cpu") as reference,
        DepthEstimator.load(folder / "frame.onnx", "cuda") as estimator,
    ):
        assert (estimator.device_reason == "as asked for") == records_rightly()
        np.testing.assert_allclose(estimator(frame), reference(frame), rtol=TOLERANCE["fp32"])


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_a_recorded_checkpoint_gives_the_cpus_metres(network, precision):
    if not torch.cuda.is_available():
        pytest.skip("PyTorch finds no GPU")
    import copy

    spec = SPEC.with_changes(precision=precision)
    backend = TorchBackend(copy.deepcopy(network), spec, "cuda", recorded=True)
    reference = TorchBackend(copy.deepcopy(network), SPEC, "cpu")
    for seed in range(4):
        for count in (1, 2):
            batch = images(count, seed)
            np.testing.assert_allclose(backend.run(batch), reference.run(batch), rtol=TOLERANCE[precision])
    assert backend.device_reason == "as asked for"
    assert backend.empty_input().shape == (1, 3, 64, 96)
    backend.close()
