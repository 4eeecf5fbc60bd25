"""Engine files: what opens, what is refused or rebuilt; on a fake device."""

import sys

import numpy as np
import pytest
from fakes.cuda import FakeCudart, install_cuda
from fakes.tensorrt import PLAN, SPEC, expected, fake_tensorrt, images, network_bytes

from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.backends.tensorrt.backend import open_engine
from lightdepth_runtime.backends.tensorrt.engine_file import EngineSidecar, platform_name, sha256_of, write_engine
from lightdepth_runtime.errors import LightDepthError


@pytest.fixture
def cudart():
    return FakeCudart()


def sidecar(**changes):
    values = {
        "spec": SPEC,
        "flavour": "tensorrt",
        "tensorrt_version": "10.3.0",
        "gpu_name": "Fake GPU",
        "compute_capabilities": ("sm87",),
        "platform": platform_name(),
        "onnx_file": "m.onnx",
        "onnx_sha256": sha256_of(network_bytes()),
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
    install_cuda(monkeypatch, cudart)
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
    with pytest.raises(LightDepthError, match=r"No engine at .*m\.engine; build it .*m\.onnx"):
        open_backend(tmp_path / "m.onnx", "tensorrt")
    write_engine(tmp_path / "m.engine", PLAN, sidecar())
    open_backend(tmp_path / "m.onnx", "tensorrt").close()


def test_an_engine_runs_on_the_gpu_that_is_named(machine, tmp_path):
    write_engine(tmp_path / "m.engine", PLAN, sidecar())
    machine._gpus = 2
    backend = open_backend(tmp_path / "m.engine", "cuda:1")
    assert (backend.device, set(machine._devices.values())) == ("cuda:1", {1})
    backend.close()


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


def test_an_engine_of_an_earlier_export_is_refused_or_rebuilt(machine, tmp_path):
    engine, onnx_path = tmp_path / "m.engine", tmp_path / "m.onnx"
    write_engine(engine, PLAN, sidecar(onnx_sha256=sha256_of(b"Monday's network")))
    open_engine(engine).close()  # deployed alone, there is nothing to hold it against
    onnx_path.write_bytes(network_bytes())
    for path in (engine, onnx_path):
        with pytest.raises(
            LightDepthError, match=r"m\.engine can't be used: it is older than m\.onnx .* Build it here"
        ):
            open_backend(path, "tensorrt")
    open_engine(onnx_path, rebuild=lambda _, target: write_engine(target, PLAN, sidecar())).close()
    open_backend(onnx_path, "tensorrt").close()


def test_an_engine_of_another_name_is_held_against_the_file_it_was_built_from(machine, tmp_path):
    (tmp_path / "m.onnx").write_bytes(network_bytes())
    (tmp_path / "fast.onnx").write_bytes(b"another network")
    write_engine(tmp_path / "fast.engine", PLAN, sidecar())
    open_backend(tmp_path / "fast.engine").close()
    with pytest.raises(LightDepthError, match=r"older than fast\.onnx"):  # it would answer for another model
        open_backend(tmp_path / "fast.onnx", "tensorrt")


def test_an_engine_that_was_renamed_with_its_onnx_file_is_held_against_it(machine, tmp_path):
    write_engine(tmp_path / "deploy.engine", PLAN, sidecar())
    (tmp_path / "deploy.onnx").write_bytes(network_bytes())
    open_backend(tmp_path / "deploy.engine").close()
    (tmp_path / "deploy.onnx").write_bytes(b"Tuesday's network")
    with pytest.raises(LightDepthError, match=r"older than deploy\.onnx"):
        open_backend(tmp_path / "deploy.engine")


def test_an_engine_of_another_name_is_rebuilt_from_the_file_it_was_built_from(machine, tmp_path):
    for name in ("m.onnx", "m.fp16.onnx"):
        (tmp_path / name).write_bytes(network_bytes())
    write_engine(tmp_path / "m.engine", PLAN, sidecar(onnx_file="m.fp16.onnx", tensorrt_version="8.6.2"))
    with pytest.raises(LightDepthError, match=r"engine \S+m\.fp16\.onnx -o \S+m\.engine$"):
        open_engine(tmp_path / "m.engine")
    asked = []

    def rebuild(source, target):
        asked.append(source.name)
        write_engine(target, PLAN, sidecar())

    open_engine(tmp_path / "m.engine", rebuild=rebuild).close()
    assert asked == ["m.fp16.onnx"]


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
