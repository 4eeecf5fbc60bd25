"""Engines that run: built, loaded, compared and timed on a real GPU. Skipped with the reason where there is none.

Timings go into the test report (`pytest --junitxml`) as properties; they are not judged, since they are the GPU's.
"""

import numpy as np
import onnx
import pytest

from lightdepth_export.engine import BatchRange, BuildOptions, can_build_here, engine_here, rebuild_engine
from lightdepth_export.onnx.fp16 import to_fp16
from lightdepth_export.tensorrt.options import compute_capability_names
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.backends.tensorrt.backend import open_engine
from lightdepth_runtime.backends.tensorrt.engine_file import sidecar_path
from lightdepth_runtime.backends.tensorrt.module import load_tensorrt
from lightdepth_runtime.bench.timing import Schedule, time_interleaved
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import load_pairs

pytestmark = pytest.mark.gpu

# Relative to the largest depth of the frame. FP32: another order of summation; TF32 is off. FP16: 11 bits of mantissa
# through some sixty layers; the head is FP32.
TOLERANCE = {"fp32": 1e-3, "fp16": 2e-2}


@pytest.fixture(scope="module", params=["tensorrt", "tensorrt_rtx"])
def flavour(request):
    if reason := can_build_here(flavour=request.param):
        pytest.skip(reason)
    if request.param == "tensorrt_rtx":
        try:
            compute_capability_names(load_tensorrt("tensorrt_rtx"), (open_cuda().gpu().compute_capability,))
        except LightDepthError as error:  # an H100, for one, is TensorRT's
            pytest.skip(str(error))
    return request.param


@pytest.fixture(scope="module", params=["resnet18", "tf_efficientnet_lite0"])
def encoder(request):
    return request.param


@pytest.fixture(scope="module", params=["fp32", "fp16"])
def built(request, flavour, encoder, traced, tmp_path_factory):
    """An ONNX file of each encoder and precision, and its engine."""
    folder = tmp_path_factory.mktemp("engines")
    fp32 = traced(encoder)[1]
    model = fp32 if request.param == "fp32" else to_fp16(fp32)
    path = folder / f"m.{request.param}.onnx"
    onnx.save_model(model, str(path))
    return path, engine_here(path, flavour=flavour)


@pytest.fixture
def real_batches(tum, spec):
    return [preprocess(pair.read().image, spec)[None] for pair in load_pairs(tum, "test").pairs]


@pytest.mark.parametrize("cuda_graph", [False, True])
def test_an_engine_agrees_with_onnx_runtime_on_real_frames(built, real_batches, cuda_graph):
    path, saved = built
    reference = open_backend(path, "cpu")
    backend = open_engine(saved.path, cuda_graph=cuda_graph)
    try:
        for batch in real_batches * 2:
            wanted = reference.run(batch)
            error = np.abs(backend.run(batch) - wanted).max() / wanted.max()
            assert error < TOLERANCE[saved.sidecar.precision]
    finally:
        backend.close()


def test_an_engine_is_timed_with_and_without_a_cuda_graph(built, real_batches, record_property):
    _, saved = built
    backends = [open_engine(saved.path, cuda_graph=graph) for graph in (False, True)]
    try:
        calls = [lambda backend=backend: backend.run(real_batches[0]) for backend in backends]
        for name, samples in zip(("plain", "cuda_graph"), time_interleaved(calls, Schedule(rounds=10)), strict=True):
            record_property(f"{saved.sidecar.precision}_{name}_latency_ms_p50", samples.percentile_ms(50))
            assert samples.calls > 0
    finally:
        for backend in backends:
            backend.close()


def test_an_open_batch_runs_at_each_size(flavour, traced, tmp_path, real_batches):
    model = onnx.ModelProto()
    model.CopyFrom(traced("resnet18")[1])
    for tensor in (*model.graph.input, *model.graph.output):
        tensor.type.tensor_type.shape.dim[0].dim_param = "batch"
    del model.graph.value_info[:]
    onnx.save_model(model, str(tmp_path / "m.onnx"))
    saved = engine_here(tmp_path / "m.onnx", options=BuildOptions(batch=BatchRange(1, 2, 4)), flavour=flavour)
    reference, backend = open_backend(tmp_path / "m.onnx", "cpu"), open_engine(saved.path)
    try:
        for count in (1, 4, 2):
            batch = np.concatenate([real_batches[0]] * count)
            np.testing.assert_allclose(backend.run(batch), reference.run(batch), rtol=TOLERANCE["fp32"])
    finally:
        backend.close()


def test_an_engine_of_another_version_is_rebuilt_here(built):
    path, saved = built
    stale = saved.sidecar.to_dict() | {"tensorrt_version": "0.0.0"}
    write_json(sidecar_path(saved.path), stale)
    assert path.with_suffix(".engine") == saved.path
    open_engine(saved.path, rebuild=rebuild_engine).close()
    open_engine(saved.path).close()
