"""The TensorRT backend on a fake device."""

import threading
from contextlib import closing

import numpy as np
import pytest
from fakes.cuda import FakeCudart
from fakes.tensorrt import (
    FRAME_SPEC,
    PLAN,
    SPEC,
    FakeContext,
    FakeEngine,
    expected,
    fake_tensorrt,
    frame_network_bytes,
    images,
)

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.backends.device_buffers import RECORDING, CudaDevice
from lightdepth_runtime.backends.tensorrt.backend import TensorRTBackend
from lightdepth_runtime.errors import LightDepthError


@pytest.fixture
def cudart():
    return FakeCudart()


@pytest.fixture(params=[False, True], ids=["plain", "cuda-graph"])
def cuda_graph(request):
    return request.param


@pytest.fixture
def backend(cudart, cuda_graph):
    trt = fake_tensorrt(cudart)
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaDevice(cudart), cuda_graph=cuda_graph)
    yield backend
    backend.close()
    assert not cudart._live, f"leaked {cudart._live}"


def test_every_frame_gets_its_own_result(backend):
    for seed in range(4):
        batch = images(seed=seed)
        np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)


def test_a_result_stays_as_it_is_when_the_next_frame_runs(backend):
    first = images(seed=1)
    depth = backend.run(first)
    backend.run(images(seed=2))
    np.testing.assert_allclose(depth, expected(first), rtol=1e-5, atol=1e-5)


def test_nothing_is_allocated_after_loading(backend, cudart):
    backend.run(images())
    before = [call for call in cudart._calls if "Malloc" in call or "StreamCreate" in call]
    for seed in range(3):
        backend.run(images(seed=seed))
    assert [call for call in cudart._calls if "Malloc" in call or "StreamCreate" in call] == before


def test_an_array_that_is_not_contiguous_is_read_rightly(backend):
    batch = images()[:, :, :, ::-1]
    np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)


def test_the_estimator_runs_on_it_at_the_frames_size(backend):
    depth = DepthEstimator(backend)(np.full((48, 80, 3), 128, np.uint8))
    assert (depth.shape, depth.dtype) == ((48, 80), np.float32)


@pytest.mark.parametrize(
    "batch", [images(2), images().astype(np.float64), np.zeros((1, 3, 64, 64), np.float32), np.zeros((3, 32, 64), "f4")]
)
def test_a_batch_that_the_engine_was_not_built_for_is_refused(backend, batch):
    with pytest.raises(LightDepthError, match=r"takes float32 \(1, 3, 32, 64\), got"):
        backend.run(batch)


@pytest.mark.parametrize("function", ["cudaMemcpyAsync", "cudaStreamSynchronize"])
def test_an_error_of_the_device_is_named_and_the_next_frame_is_right(cudart, cuda_graph, function):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart), cuda_graph=cuda_graph)
    backend.run(images(seed=5))
    if function == "cudaMemcpyAsync" and cuda_graph:
        function = "cudaGraphLaunch"  # a recorded frame copies inside its graph
    cudart._failing = {function: 0}
    with pytest.raises(LightDepthError, match=rf"CUDA refused {function} \(cudaErrorUnknown\)"):
        backend.run(images(seed=6))
    cudart._failing = {}
    np.testing.assert_allclose(backend.run(images(seed=7)), expected(images(seed=7)), rtol=1e-5, atol=1e-5)
    backend.close()
    assert not cudart._live


def test_a_frame_that_tensorrt_fails_is_reported_in_its_words_and_the_next_is_right(cudart):
    trt = fake_tensorrt(cudart)
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaDevice(cudart), cuda_graph=False)
    trt._failing_frames = 1
    with pytest.raises(LightDepthError, match="Cask: a kernel failed; the next frame"):
        backend.run(images())
    assert not any(cudart._queues.values()), "the failed frame's copy would still read the staging memory"
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    backend.close()
    assert not cudart._live


@pytest.mark.parametrize("function", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_an_engine_that_can_not_be_recorded_runs_without_a_graph_and_says_so(cudart, function):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart))
    cudart._failing = {function: 0}
    for seed in range(3):
        np.testing.assert_allclose(backend.run(images(seed=seed)), expected(images(seed=seed)), rtol=1e-5, atol=1e-5)
    assert "without a CUDA graph, since this engine can't be recorded (CUDA refused" in backend.device_reason
    cudart._failing = {}
    backend.close()
    assert not cudart._live


def test_a_frame_that_fails_while_it_is_recorded_ends_the_recording(cudart):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart))
    cudart._failing = {"cudaMemcpyAsync": 2}  # the frame's two copies pass, the recording's first fails
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    assert cudart._capturing is None
    assert "can't be recorded" in backend.device_reason
    backend.close()
    assert not cudart._live


def test_a_frame_is_recorded_unless_told_otherwise_and_queues_one_graph_and_no_copies(cudart):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart))
    backend.run(images())
    cudart._calls.clear()
    backend.run(images(seed=1))
    assert cudart._calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]
    backend.close()


def test_batches_within_the_range_run_each_at_their_size(cudart, cuda_graph):
    trt = fake_tensorrt(cudart, batches=(1, 4))
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaDevice(cudart), cuda_graph=cuda_graph)
    for count in (1, 4, 2, 2, 1):
        batch = images(count, seed=count)
        np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)
    with pytest.raises(LightDepthError, match=r"\(1\.\.4, 3, 32, 64\), got float32 \(5, 3, 32, 64\)"):
        backend.run(images(5))
    backend.close()
    assert not cudart._live


@pytest.mark.parametrize(
    ("function", "calls_before"),
    [
        ("cudaStreamCreateWithFlags", 0),
        ("cudaMallocHost", 0),
        ("cudaMallocHost", 1),
        ("cudaMalloc", 0),
        ("cudaMalloc", 1),
    ],
)
def test_memory_that_runs_out_while_loading_leaves_nothing_behind(cudart, function, calls_before):
    cudart._failing = {function: calls_before}
    with pytest.raises(LightDepthError, match=f"CUDA refused {function}"):
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart))
    assert not cudart._live


def test_a_plan_that_tensorrt_refuses_is_reported_in_its_words(cudart):
    with pytest.raises(LightDepthError, match=r"can't load the engine of fake: Serialization \(magic tag"):
        TensorRTBackend(fake_tensorrt(cudart), b"broken", SPEC, CudaDevice(cudart))
    assert not cudart._live


def test_an_engine_that_can_not_start_leaves_nothing_behind(cudart):
    trt = fake_tensorrt(cudart)
    trt._no_context = True
    with pytest.raises(LightDepthError, match="can't start the engine"):
        TensorRTBackend(trt, PLAN, SPEC, CudaDevice(cudart))
    assert not cudart._live


@pytest.mark.parametrize("changes", [{"output_name": "metres"}, {"input_height": 64}])
def test_an_engine_of_another_network_is_refused(cudart, changes):
    with pytest.raises(LightDepthError, match="uild it"):
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC.with_changes(**changes), CudaDevice(cudart))


def test_a_frame_with_its_preprocessing_in_the_engine_goes_to_the_gpu_as_bytes(cudart, cuda_graph):
    trt = fake_tensorrt(cudart, network=frame_network_bytes())
    backend = TensorRTBackend(trt, PLAN, FRAME_SPEC, CudaDevice(cudart), cuda_graph=cuda_graph)
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    with DepthEstimator(backend) as estimator:
        for channel_order in ("rgb", "bgr", "rgb"):
            np.testing.assert_allclose(estimator(image, channel_order=channel_order), image.mean(axis=2), rtol=1e-5)
        assert backend.empty_input().dtype == np.uint8
        with pytest.raises(LightDepthError, match=r"takes uint8 \(1, 48, 80, 3\), got float32"):
            backend.run(images())
    with pytest.raises(LightDepthError, match=r"'frame' is uint8 .*this backend needs float32 \(B, 3, 32, 64\)"):
        TensorRTBackend(trt, PLAN, SPEC.with_changes(input_name="frame"), CudaDevice(cudart))
    del estimator, backend
    assert not cudart._live


def test_closing_twice_is_fine_and_running_after_it_is_an_error(cudart):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart))
    backend.close()
    backend.close()
    assert backend.empty_input() is None
    with pytest.raises(LightDepthError, match="was closed"):
        backend.run(images())


def test_the_fake_has_no_name_that_tensorrt_lacks(cudart):
    real = pytest.importorskip("tensorrt_rtx", reason="TensorRT-RTX is not installed: pip install tensorrt-rtx")
    trt = fake_tensorrt(cudart)
    for fake, original in (
        (trt, real),
        (trt.Runtime, real.Runtime),
        (FakeEngine(trt, (1, 1)), real.ICudaEngine),
        (FakeContext(trt), real.IExecutionContext),
    ):
        assert {name for name in dir(fake) if not name.startswith("_")} <= set(dir(original))


def test_the_staging_memory_is_taken_without_a_copy(backend):
    batch = images(seed=4)
    staging = backend.empty_input()
    np.copyto(staging, batch)
    np.testing.assert_array_equal(backend.run(staging), backend.run(batch))
    assert backend.empty_input(2) is None


def test_a_backend_that_is_dropped_without_closing_frees_its_memory(cudart, cuda_graph):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart), cuda_graph=cuda_graph)
    backend.run(images(1))
    assert cudart._live
    del backend
    assert not cudart._live


@pytest.mark.parametrize(("flavour", "eager"), [("tensorrt", False), ("tensorrt_rtx", True)])
def test_kernels_of_an_open_batch_are_compiled_before_a_frame_is_recorded(cudart, flavour, eager):
    trt = fake_tensorrt(cudart, flavour=flavour, batches=(1, 4))
    with closing(TensorRTBackend(trt, PLAN, SPEC, CudaDevice(cudart))) as backend:
        config = backend._loaded.engine.started_with
        assert (config is not None and config.dynamic_shapes_kernel_specialization_strategy == "EAGER") == eager
    fixed = fake_tensorrt(cudart, flavour=flavour)
    with closing(TensorRTBackend(fixed, PLAN, SPEC, CudaDevice(cudart))) as backend:
        assert backend._loaded.engine.started_with is None


def test_no_memory_is_taken_or_freed_while_onnx_runtime_records(cudart):
    """Either would break its recording."""
    opened = []
    work = [lambda: opened.append(TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaDevice(cudart)))]
    work.append(lambda: opened[0].close())
    for step in work:
        thread = threading.Thread(target=step)
        with RECORDING:
            before = len(cudart._calls)
            thread.start()
            thread.join(timeout=0.2)
            assert thread.is_alive()
            assert len(cudart._calls) == before
        thread.join()
        assert len(cudart._calls) > before
