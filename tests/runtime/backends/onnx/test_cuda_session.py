"""ONNX Runtime on CUDA, bound and recorded, on a fake GPU whose results are ONNX Runtime's own."""

import inspect
import sys
from types import SimpleNamespace

import numpy as np
import onnx
import onnxruntime
import pytest
from fakes.onnxruntime_gpu import SURE, FakeBinding, FakeGpuSession, fake_gpu_sessions, write
from fakes.tensorrt import FRAME_SPEC, expected, frame_network_bytes, images, network_bytes
from onnx import helper, numpy_helper

from lightdepth_runtime import DepthEstimator, LightDepthError
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.baseline import BASELINE_KEY, BaselineSpec, open_baseline
from lightdepth_runtime.spec import SPEC_KEY

GRAPH, NO_GRAPH = "['device_id', 'enable_cuda_graph', 'user_compute_stream']", "['device_id', 'user_compute_stream']"


@pytest.mark.parametrize("count", [1, 2, 19])
def test_every_batch_gets_its_own_metres_and_sigma(backend, count):
    for seed in range(2):
        batch = images(count, seed=seed)
        np.testing.assert_allclose(backend.run(batch), expected(batch), rtol=1e-5, atol=1e-5)
        depth_m, sigma = backend.run_both(batch)
        np.testing.assert_allclose(depth_m, expected(batch), rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(sigma, 2 * expected(batch), rtol=1e-5, atol=1e-5)


def test_a_result_stays_as_it_is_when_the_next_frame_runs(backend):
    depth_m = backend.run(images(seed=1))
    kept = depth_m.copy()
    backend.run(images(seed=2))
    np.testing.assert_array_equal(depth_m, kept)
    assert depth_m.flags.c_contiguous
    assert depth_m.flags.writeable


def test_a_frame_is_two_copies_one_network_and_one_synchronisation(backend, cudart):
    batch = backend.empty_input()
    np.copyto(batch, images())
    cudart._calls.clear()
    backend.run(batch)
    assert cudart._calls == ["cudaMemcpyAsync", "run_with_iobinding", "cudaMemcpyAsync", "cudaStreamSynchronize"]


def test_an_array_written_in_place_gives_what_any_array_gives(backend):
    batch = images(seed=3)
    staging = backend.empty_input()
    np.copyto(staging, batch)
    np.testing.assert_array_equal(backend.run(staging), backend.run(batch))
    mirrored = batch[:, :, :, ::-1]
    np.testing.assert_allclose(backend.run(mirrored), expected(mirrored), rtol=1e-5, atol=1e-5)


def test_the_staging_memory_outlives_the_model_while_someone_holds_it(backend, cudart):
    staging = backend.empty_input()
    backend.close()
    staging[...] = 1  # freed memory would be another's by now
    assert backend.empty_input() is None
    assert cudart._live


def test_the_estimator_preprocesses_into_the_staging_memory(backend):
    seen = []

    def run(batch):
        seen.append(np.shares_memory(batch, backend.empty_input()))
        return backend.run(batch)

    spy = SimpleNamespace(spec=backend.spec, run=run, empty_input=backend.empty_input)
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    depth_m = DepthEstimator(spy)(image)
    assert seen == [True]
    assert (depth_m.shape, depth_m.dtype) == ((48, 80), np.float32)


@pytest.mark.parametrize("batch", [images().astype(np.float64), np.zeros((1, 3, 64, 64), np.float32)])
def test_a_batch_of_another_shape_or_type_is_refused(backend, batch):
    with pytest.raises(LightDepthError, match=r"takes float32 \(1(\.\.8)?, 3, 32, 64\), got"):
        backend.run(batch)


@pytest.mark.parametrize(
    ("function", "words"),
    [("cudaMemcpyAsync", "CUDA refused cudaMemcpyAsync"), ("run_with_iobinding", "failed on a frame .*out of memory")],
)
def test_an_error_of_the_device_is_named_and_the_next_frame_is_right(backend, cudart, function, words):
    cudart._failing = {function: 0}
    with pytest.raises(LightDepthError, match=words):
        backend.run(images(seed=6))
    cudart._failing = {}
    np.testing.assert_allclose(backend.run(images(seed=7)), expected(images(seed=7)), rtol=1e-5, atol=1e-5)


def test_a_session_goes_before_its_stream_even_while_someone_holds_the_error_of_a_frame(backend, cudart):
    cudart._failing = {"run_with_iobinding": 0}
    with pytest.raises(LightDepthError) as caught:
        backend.run(images())
    cudart._failing = {}
    backend.close()
    assert "out of memory" in str(caught.value)
    assert "cudaStreamDestroy" in cudart._calls
    assert "a session outlived its stream" not in cudart._calls


def test_a_device_that_fails_while_a_model_closes_is_named_and_all_is_freed(backend, cudart):
    backend.run(images())
    bound = backend._graph.close.__self__
    cudart._failing = {"cudaStreamSynchronize": 0}
    with pytest.raises(LightDepthError, match="CUDA refused cudaStreamSynchronize"):
        backend.close()
    cudart._failing = {}
    cudart._calls.clear()
    bound.close()
    assert not cudart._calls
    with pytest.raises(LightDepthError, match="was closed"):
        bound.run(["depth"], images())


def test_a_closed_model_refuses_and_closes_twice(backend):
    backend.close()
    backend.close()
    with pytest.raises(LightDepthError, match="was closed"):
        backend.run(images())


# Opening


def test_a_graph_is_recorded_on_the_gpu_that_is_named(cudart, tmp_path):
    backend = open_backend(write(tmp_path), "cuda:1")
    assert (backend.device, backend.device_reason) == ("cuda:1", "as asked for")
    assert f"session CUDAExecutionProvider {GRAPH}" in cudart._calls
    assert set(cudart._devices.values()) == {1}
    backend.close()


@pytest.mark.parametrize(("version", "recorded"), [("1.30.0", False), ("1.31.0", True), ("1.32.0.dev2", True)])
def test_versions_that_record_wrong_depth_record_nothing_and_it_is_said(
    cudart, tmp_path, monkeypatch, version, recorded
):
    fake_gpu_sessions(monkeypatch, cudart, version=version)
    backend = open_backend(write(tmp_path), "cuda")
    assert f"session CUDAExecutionProvider {GRAPH if recorded else NO_GRAPH}" in cudart._calls
    words = "as asked for, without a CUDA graph, which ONNX Runtime before 1.31 records wrongly"
    assert backend.device_reason == ("as asked for" if recorded else words)
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    backend.close()


def test_where_no_graph_can_be_recorded_the_model_runs_without_and_says_why(cudart, tmp_path, monkeypatch):
    fake_gpu_sessions(monkeypatch, cudart, recordable=False)
    backend = open_backend(write(tmp_path), "cuda")
    assert "without a CUDA graph, since ONNX Runtime can't record one" in backend.device_reason
    assert f"session CUDAExecutionProvider {NO_GRAPH}" in cudart._calls
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    backend.close()


def test_without_cuda_bindings_it_runs_unbound_and_says_what_to_install(cudart, tmp_path, monkeypatch):
    for name in ("cuda.bindings.runtime", "cuda.cudart"):
        monkeypatch.setitem(sys.modules, name, None)
    backend = open_backend(write(tmp_path), "cuda")
    assert "pip install cuda-bindings" in backend.device_reason
    assert backend.empty_input() is None
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    assert "run" in cudart._calls


def test_a_graph_with_open_sizes_runs_unbound_and_says_so(cudart, tmp_path):
    model = onnx.load_from_string(network_bytes())
    graph = model.graph  # keep the rows whose mean is a number: all of them, but only known when it runs
    graph.node[0].output[0] = "all"
    graph.initializer.append(numpy_helper.from_array(np.float32(-1e9), "least"))
    graph.node.insert(1, helper.make_node("ReduceMean", ["image"], ["means"], axes=[0, 1, 3], keepdims=0))
    graph.node.insert(2, helper.make_node("Greater", ["means", "least"], ["kept"]))
    graph.node.insert(3, helper.make_node("Compress", ["all", "kept"], ["depth"], axis=2))
    for output in graph.output:
        output.type.tensor_type.shape.dim[2].dim_param = "rows"
    model.opset_import[0].version = 17
    model.metadata_props.add(key=SPEC_KEY, value=SURE.to_json())
    onnx.save_model(model, tmp_path / "m.onnx")
    backend = open_backend(tmp_path / "m.onnx", "cuda")
    assert "without bound buffers and a CUDA graph, since depth has the open shape" in backend.device_reason
    np.testing.assert_allclose(backend.run(images()), expected(images()), rtol=1e-5, atol=1e-5)


def test_a_provider_that_fell_back_to_the_cpu_is_an_error(cudart, tmp_path, monkeypatch):
    fake_gpu_sessions(monkeypatch, cudart, falls_back=True)
    with pytest.raises(LightDepthError, match=r"can't use cuda here .*fell back .*'onnxruntime-gpu\[cuda,cudnn\]'"):
        open_backend(write(tmp_path), "cuda")


def test_a_gpu_that_is_not_there_and_a_name_that_is_none_are_refused(cudart, tmp_path):
    with pytest.raises(LightDepthError, match=r"no cuda:2 here; CUDA finds 2 GPUs"):
        open_backend(write(tmp_path), "cuda:2")
    with pytest.raises(LightDepthError, match=r"cuda or cuda:N, .*'cuda:x'"):
        open_backend(write(tmp_path), "cuda:x")


def test_a_spec_that_is_not_this_graphs_is_refused_and_frees_everything(cudart, tmp_path):
    with pytest.raises(LightDepthError, match="export it again"):
        open_backend(write(tmp_path, spec=SURE.with_changes(input_name="rgb")), "cuda")


@pytest.mark.parametrize(
    ("function", "calls_before"),
    [("cudaStreamCreateWithFlags", 0), ("cudaMallocHost", 0), ("cudaMallocHost", 2), ("cudaMalloc", 1)],
)
def test_memory_that_runs_out_while_loading_leaves_nothing_behind(cudart, tmp_path, function, calls_before):
    path = write(tmp_path)
    cudart._failing = {function: calls_before}
    with pytest.raises(LightDepthError, match=f"CUDA refused {function}"):
        open_backend(path, "cuda")


def test_a_model_that_is_dropped_without_closing_frees_its_memory(cudart, tmp_path):
    backend = open_backend(write(tmp_path), "cuda")
    backend.run(images())
    assert cudart._live
    del backend
    assert not cudart._live


def test_a_frame_with_its_preprocessing_in_the_graph_goes_to_the_gpu_as_bytes(cudart, tmp_path):
    model = onnx.load_from_string(frame_network_bytes())
    model.metadata_props.add(key=SPEC_KEY, value=FRAME_SPEC.to_json())
    onnx.save_model(model, tmp_path / "m.frame.onnx")
    image = np.random.default_rng(0).integers(0, 256, (48, 80, 3), dtype=np.uint8)
    with DepthEstimator.load(tmp_path / "m.frame.onnx", "cuda") as estimator:
        np.testing.assert_allclose(estimator(image), image.mean(axis=2), rtol=1e-5)
        np.testing.assert_allclose(estimator(image, channel_order="bgr"), image.mean(axis=2), rtol=1e-5)
        assert estimator.backend.empty_input().dtype == np.uint8


@pytest.mark.parametrize("version", ["1.30.0", "1.31.0"])
def test_a_baseline_runs_bound_too_and_says_where_it_is_not_recorded(cudart, tmp_path, monkeypatch, version):
    fake_gpu_sessions(monkeypatch, cudart, version=version)
    spec = BaselineSpec("b", "metric", 32, 64, 4, "random")
    baseline = open_baseline(write(tmp_path, spec=spec, key=BASELINE_KEY), "cuda")
    assert ("without a CUDA graph" in baseline.device_reason) == (version == "1.30.0")
    np.testing.assert_allclose(baseline.run(images()), expected(images()), rtol=1e-5, atol=1e-5)
    assert "run_with_iobinding" in cudart._calls
    baseline.close()
    with pytest.raises(LightDepthError, match="closed"):
        baseline.run(images())


# The fake


def test_the_fake_has_no_name_that_onnx_runtime_lacks():
    for fake, real in ((FakeBinding, onnxruntime.IOBinding), (FakeGpuSession, onnxruntime.InferenceSession)):
        for name, function in vars(fake).items():
            if not name.startswith("_"):
                theirs = inspect.signature(getattr(real, name)).parameters
                assert list(inspect.signature(function).parameters) == list(theirs), name


def test_the_run_options_have_what_the_session_sets():
    options = onnxruntime.RunOptions()
    options.add_run_config_entry("gpu_graph_id", "1")
    assert options.get_run_config_entry("gpu_graph_id") == "1"
