# ruff: noqa: N802, N815  the fake has CUDA's own names
"""The TensorRT backend on a fake device, whose results come from ONNX Runtime.

The fake queues work on its stream and does it when the stream is synchronised, as a GPU does, so a result that is read
too early is a stale one. Its names are held to the real APIs below.
"""

import ctypes
import enum
import itertools
import sys
import types

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.device_buffers import CudaBuffers, GpuInfo
from lightdepth_runtime.backends.engine_file import EngineSidecar, platform_name, sha256_of, write_engine
from lightdepth_runtime.backends.tensorrt import TensorRTBackend, open_engine
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="fake", input_height=32, input_width=64, parameters=4)
PLAN = b"ftrt fake plan"


class Status(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorUnknown = 999


class FakeCudart:
    """Host memory that plays a device's; counts what lives, and fails where told."""

    cudaMemcpyKind = types.SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, name=b"Fake GPU", capability=(8, 7)):
        self._name, self._capability = name, capability
        self._live, self._queues, self._graphs = {}, {}, {}
        self._capturing = None
        self._numbers = itertools.count(1)
        self._failing = {}
        self._calls = []

    def _enter(self, function):
        self._calls.append(function)
        left = self._failing.get(function)
        if left is None:
            return Status.cudaSuccess
        self._failing[function] = left - 1
        return Status.cudaErrorUnknown if left <= 0 else Status.cudaSuccess

    def _add(self, function, value):
        status = self._enter(function)
        if status:
            return status, None
        handle = next(self._numbers)
        self._live[handle] = value
        return status, handle

    def _remove(self, function, handle):
        status = self._enter(function)
        assert self._live.pop(handle, None) is not None, f"{function} of {handle}, which doesn't live"
        return (status,)

    def _memory(self, function, size):
        status = self._enter(function)
        if status:
            return status, None
        memory = ctypes.create_string_buffer(size)
        self._live[ctypes.addressof(memory)] = memory
        return status, ctypes.addressof(memory)

    def _queue(self, stream, work):
        if self._capturing is not None:
            self._capturing.append(work)
        else:
            self._queues[stream].append(work)

    def cudaGetDeviceCount(self):
        return Status.cudaSuccess, 1

    def cudaGetDeviceProperties(self, device):
        major, minor = self._capability
        return Status.cudaSuccess, types.SimpleNamespace(name=self._name, major=major, minor=minor)

    def cudaMalloc(self, size):
        return self._memory("cudaMalloc", size)

    def cudaMallocHost(self, size):
        return self._memory("cudaMallocHost", size)

    def cudaFree(self, address):
        return self._remove("cudaFree", address)

    def cudaFreeHost(self, address):
        return self._remove("cudaFreeHost", address)

    def cudaStreamCreate(self):
        status, stream = self._add("cudaStreamCreate", "stream")
        self._queues[stream] = []
        return status, stream

    def cudaStreamDestroy(self, stream):
        return self._remove("cudaStreamDestroy", stream)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        status = self._enter("cudaMemcpyAsync")
        if not status:
            self._queue(stream, lambda: ctypes.memmove(target, source, size))
        return (status,)

    def cudaStreamSynchronize(self, stream):
        status = self._enter("cudaStreamSynchronize")
        assert self._capturing is None, "a synchronisation would break the recording"
        work, self._queues[stream] = self._queues[stream], []
        for step in work:
            step()
        return (status,)

    def cudaStreamBeginCapture(self, stream, mode):
        status = self._enter("cudaStreamBeginCapture")
        self._capturing = None if status else []
        return (status,)

    def cudaStreamEndCapture(self, stream):
        steps, self._capturing = self._capturing, None
        return self._add("cudaStreamEndCapture", steps)

    def cudaGraphInstantiate(self, graph, flags):
        return self._add("cudaGraphInstantiate", self._live[graph])

    def cudaGraphDestroy(self, graph):
        return self._remove("cudaGraphDestroy", graph)

    def cudaGraphLaunch(self, graph, stream):
        status = self._enter("cudaGraphLaunch")
        self._queues[stream].extend(self._live[graph])
        return (status,)

    def cudaGraphExecDestroy(self, graph):
        return self._remove("cudaGraphExecDestroy", graph)


class FakeEngine:
    """The network of `network_bytes` behind the names of ICudaEngine."""

    def __init__(self, trt, batches):
        self._trt, self._batches = trt, batches
        self._shapes = {"image": (3, 32, 64), "depth": (1, 32, 64)}
        self.num_io_tensors = 2

    def get_tensor_name(self, index):
        return list(self._shapes)[index]

    def get_tensor_shape(self, name):
        smallest, largest = self._batches
        return (smallest if smallest == largest else -1, *self._shapes[name])

    def get_tensor_dtype(self, name):
        return self._trt.float32

    def get_tensor_profile_shape(self, name, profile_index):
        smallest, largest = self._batches
        return [(size, *self._shapes[name]) for size in (smallest, smallest, largest)]

    def create_execution_context(self):
        return None if self._trt._no_context else FakeContext(self._trt)


class FakeContext:
    def __init__(self, trt):
        self._trt, self._addresses, self._shape = trt, {}, None

    def set_tensor_address(self, name, address):
        self._addresses[name] = address
        return True

    def set_input_shape(self, name, shape):
        self._shape = shape
        return True

    def execute_async_v3(self, stream_handle):
        if self._trt._failing_frames:
            self._trt._failing_frames -= 1
            self._trt._tell(1, "Cask: a kernel failed")
            return False
        shape = self._shape

        def infer():
            count = int(np.prod(shape))
            image = np.ctypeslib.as_array((ctypes.c_float * count).from_address(self._addresses["image"]))
            depth = self._trt._session.run(None, {"image": image.reshape(shape)})[0]
            ctypes.memmove(self._addresses["depth"], depth.ctypes.data, depth.nbytes)

        self._trt._cudart._queue(stream_handle, infer)
        return True


def fake_tensorrt(cudart, *, batches=(1, 1), flavour="tensorrt", version="10.3.0"):
    """Make a module with the names of TensorRT's that the backend uses."""
    trt = types.ModuleType(flavour)

    class ILogger:
        pass

    class Runtime:
        def __init__(self, logger):
            trt._logger = logger

        def deserialize_cuda_engine(self, plan):
            if b"broken" in plan:
                trt._tell(1, "Serialization (magic tag does not match)")
                return None
            return FakeEngine(trt, batches)

    def tell(severity, message):
        trt._logger.log(severity, message)

    trt.__version__, trt.float32, trt.ILogger, trt.Runtime = version, "float32", ILogger, Runtime
    trt._cudart, trt._tell, trt._failing_frames, trt._no_context = cudart, tell, 0, False
    trt._session = onnxruntime.InferenceSession(network_bytes(), providers=["CPUExecutionProvider"])
    return trt


def network_bytes():
    """depth = the sum of the three channels times 1, 2 and 3, plus 1."""
    kernel = numpy_helper.from_array(np.array([1, 2, 3], np.float32).reshape(1, 3, 1, 1), "kernel")
    bias = numpy_helper.from_array(np.ones(1, np.float32), "bias")
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ("b", 3, 32, 64))
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, ("b", 1, 32, 64))
    node = helper.make_node("Conv", ["image", "kernel", "bias"], ["depth"], name="conv")
    graph = helper.make_graph([node], "g", [image], [depth], [kernel, bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def images(count=1, seed=0):
    return np.random.default_rng(seed).normal(size=(count, 3, 32, 64)).astype(np.float32)


def expected(batch):
    return 1 + np.einsum("bchw,c->bhw", batch, [1, 2, 3])[:, None]


@pytest.fixture
def cudart():
    return FakeCudart()


@pytest.fixture(params=[False, True], ids=["plain", "cuda-graph"])
def cuda_graph(request):
    return request.param


@pytest.fixture
def backend(cudart, cuda_graph):
    trt = fake_tensorrt(cudart)
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaBuffers(cudart), cuda_graph=cuda_graph)
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
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaBuffers(cudart), cuda_graph=cuda_graph)
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
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaBuffers(cudart))
    trt._failing_frames = 1
    with pytest.raises(LightDepthError, match="Cask: a kernel failed; the next frame"):
        backend.run(images())
    assert not any(cudart._queues.values()), "the failed frame's copy would still read the staging memory"
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    backend.close()
    assert not cudart._live


@pytest.mark.parametrize("function", ["cudaStreamBeginCapture", "cudaStreamEndCapture", "cudaGraphInstantiate"])
def test_an_engine_that_can_not_be_recorded_says_so_and_leaks_nothing(cudart, function):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaBuffers(cudart), cuda_graph=True)
    cudart._failing = {function: 0}
    with pytest.raises(LightDepthError, match=r"can't be recorded as a CUDA graph .* without cuda_graph"):
        backend.run(images())
    cudart._failing = {}
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    backend.close()
    assert not cudart._live


def test_a_frame_that_fails_while_it_is_recorded_ends_the_recording(cudart):
    trt = fake_tensorrt(cudart)
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaBuffers(cudart), cuda_graph=True)
    cudart._failing = {"cudaMemcpyAsync": 2}  # the frame's two copies pass, the recording's first fails
    with pytest.raises(LightDepthError, match="can't be recorded"):
        backend.run(images())
    assert cudart._capturing is None
    backend.close()
    assert not cudart._live


def test_a_recorded_frame_queues_one_graph_and_no_copies(cudart):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaBuffers(cudart), cuda_graph=True)
    backend.run(images())
    cudart._calls.clear()
    backend.run(images(seed=1))
    assert cudart._calls == ["cudaGraphLaunch", "cudaStreamSynchronize"]
    backend.close()


def test_batches_within_the_range_run_each_at_their_size(cudart, cuda_graph):
    trt = fake_tensorrt(cudart, batches=(1, 4))
    backend = TensorRTBackend(trt, PLAN, SPEC, CudaBuffers(cudart), cuda_graph=cuda_graph)
    for count in (1, 4, 2, 2, 1):
        batch = images(count, seed=count)
        np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)
    with pytest.raises(LightDepthError, match=r"\(1\.\.4, 3, 32, 64\), got float32 \(5, 3, 32, 64\)"):
        backend.run(images(5))
    backend.close()
    assert not cudart._live


@pytest.mark.parametrize(
    ("function", "calls_before"),
    [("cudaStreamCreate", 0), ("cudaMallocHost", 0), ("cudaMallocHost", 1), ("cudaMalloc", 0), ("cudaMalloc", 1)],
)
def test_memory_that_runs_out_while_loading_leaves_nothing_behind(cudart, function, calls_before):
    cudart._failing = {function: calls_before}
    with pytest.raises(LightDepthError, match=f"CUDA refused {function}"):
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaBuffers(cudart))
    assert not cudart._live


def test_a_plan_that_tensorrt_refuses_is_reported_in_its_words(cudart):
    with pytest.raises(LightDepthError, match=r"can't load the engine of fake: Serialization \(magic tag"):
        TensorRTBackend(fake_tensorrt(cudart), b"broken", SPEC, CudaBuffers(cudart))
    assert not cudart._live


def test_an_engine_that_can_not_start_leaves_nothing_behind(cudart):
    trt = fake_tensorrt(cudart)
    trt._no_context = True
    with pytest.raises(LightDepthError, match="can't start the engine"):
        TensorRTBackend(trt, PLAN, SPEC, CudaBuffers(cudart))
    assert not cudart._live


@pytest.mark.parametrize("changes", [{"output_name": "metres"}, {"input_height": 64}])
def test_an_engine_of_another_network_is_refused(cudart, changes):
    with pytest.raises(LightDepthError, match="uild it"):
        TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC.with_changes(**changes), CudaBuffers(cudart))


def test_closing_twice_is_fine_and_running_after_it_is_an_error(cudart):
    backend = TensorRTBackend(fake_tensorrt(cudart), PLAN, SPEC, CudaBuffers(cudart))
    backend.close()
    backend.close()
    with pytest.raises(LightDepthError, match="was closed"):
        backend.run(images())


def sidecar(**changes):
    values = {
        "spec": SPEC,
        "flavour": "tensorrt",
        "tensorrt_version": "10.3.0",
        "gpu_name": "Fake GPU",
        "compute_capabilities": ("sm87",),
        "platform": platform_name(),
        "onnx_file": "m.onnx",
        "onnx_sha256": "0",
        "plan_sha256": sha256_of(PLAN),
        "plan_size_bytes": len(PLAN),
        "precision": "fp32",
        "min_shape": (1, 3, 32, 64),
        "opt_shape": (1, 3, 32, 64),
        "max_shape": (1, 3, 32, 64),
    }
    return EngineSidecar(**(values | changes))


@pytest.fixture
def machine(monkeypatch, cudart):
    """A machine with TensorRT 10.3.0 and the fake GPU."""
    bindings = types.ModuleType("cuda.bindings.runtime")
    for name in dir(cudart):
        if name.startswith("cuda"):
            setattr(bindings, name, getattr(cudart, name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", bindings)
    monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt(cudart))
    return cudart


@pytest.mark.parametrize("device", ["auto", "cuda", "tensorrt"])
def test_an_engine_file_opens_like_any_model(machine, tmp_path, device):
    write_engine(tmp_path / "m.engine", PLAN, sidecar())
    backend = open_backend(tmp_path / "m.engine", device)
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    assert (backend.name, backend.device, backend.spec) == ("tensorrt", "cuda", SPEC)
    backend.close()
    assert not machine._live


def test_an_onnx_file_on_tensorrt_opens_the_engine_beside_it(machine, tmp_path):
    (tmp_path / "m.onnx").write_bytes(network_bytes())
    with pytest.raises(LightDepthError, match=r"No engine at .*m\.engine; build it .* m\.onnx"):
        open_backend(tmp_path / "m.onnx", "tensorrt")
    write_engine(tmp_path / "m.engine", PLAN, sidecar())
    open_backend(tmp_path / "m.onnx", "tensorrt").close()


def test_an_engine_on_the_cpu_is_refused(tmp_path):
    (tmp_path / "m.engine").write_bytes(PLAN)
    with pytest.raises(LightDepthError, match="runs on cuda, not 'cpu'"):
        open_backend(tmp_path / "m.engine", "cpu")


def test_an_engine_that_does_not_fit_is_rebuilt_where_the_caller_allows(machine, tmp_path):
    engine, onnx_path = tmp_path / "m.engine", tmp_path / "m.onnx"
    onnx_path.write_bytes(network_bytes())
    write_engine(engine, PLAN, sidecar(tensorrt_version="8.6.2"))
    with pytest.raises(LightDepthError, match=r"built by TensorRT 8\.6\.2, and 10\.3\.0 is installed here"):
        open_engine(engine)
    asked = []

    def rebuild(source, target):
        asked.append((source, target))
        write_engine(target, PLAN, sidecar())

    open_engine(engine, rebuild=rebuild).close()
    open_engine(engine, rebuild=rebuild).close()  # now it fits
    assert asked == [(onnx_path, engine)]


def test_no_rebuild_without_the_onnx_file(machine, tmp_path):
    write_engine(tmp_path / "m.engine", PLAN, sidecar(tensorrt_version="8.6.2"))
    with pytest.raises(LightDepthError, match=r"8\.6\.2"):
        open_engine(tmp_path / "m.engine", rebuild=lambda *paths: pytest.fail("there is nothing to build from"))


def test_the_gpu_is_asked_for_before_tensorrt_is_touched(machine, monkeypatch, tmp_path):
    """TensorRT's runtime crashes the process where there is no GPU."""
    write_engine(tmp_path / "m.engine", PLAN, sidecar())
    monkeypatch.setattr(sys.modules["cuda.bindings.runtime"], "cudaGetDeviceCount", lambda: (100, None))
    monkeypatch.setattr(sys.modules["tensorrt"], "Runtime", lambda logger: pytest.fail("touched"))
    with pytest.raises(LightDepthError, match="CUDA finds no GPU here"):
        open_engine(tmp_path / "m.engine")


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


def test_the_fake_has_no_name_that_cuda_lacks(cudart):
    real = pytest.importorskip("cuda.bindings.runtime", reason="cuda-bindings are not installed")
    assert {name for name in dir(cudart) if not name.startswith("_")} <= set(dir(real))
    for group in ("cudaMemcpyKind", "cudaStreamCaptureMode"):
        assert set(vars(getattr(cudart, group))) <= set(dir(getattr(real, group)))


def test_the_gpu_describes_itself(cudart):
    assert CudaBuffers(cudart).gpu() == GpuInfo("Fake GPU", "sm87")
