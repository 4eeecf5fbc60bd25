"""A fake GPU, and a network on it."""

import pytest
from fakes.cuda import FakeCudart, install_cuda
from fakes.onnxruntime_gpu import fake_gpu_sessions, write

from lightdepth_runtime.backends import open_backend


@pytest.fixture
def cudart(monkeypatch):
    cudart = FakeCudart(gpus=2)
    install_cuda(monkeypatch, cudart)
    fake_gpu_sessions(monkeypatch, cudart)
    yield cudart
    assert not cudart._live, f"leaked {cudart._live}"
    assert "a session outlived its stream" not in cudart._calls


@pytest.fixture(params=[1, None], ids=["batch 1", "any batch"])
def backend(request, cudart, tmp_path):
    backend = open_backend(write(tmp_path, batch=request.param), "cuda")
    yield backend
    backend.close()
