"""What PyTorch refuses on a GPU: a recording is done without, and said; too little memory is one sentence."""

import numpy as np
import pytest
import torch

from lightdepth.checkpoints import backend as backend_module
from lightdepth.checkpoints.backend import TorchBackend
from lightdepth_runtime import LightDepthError, ModelSpec

SPEC = ModelSpec(name="small", input_height=32, input_width=64, parameters=1)
FULL = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 7.79 GiB"


class Network(torch.nn.Module):
    def forward(self, image):
        return image.sum(dim=1, keepdim=True)


def refuse(error):
    def raise_it(*_):
        raise error

    return raise_it


def test_a_network_that_can_not_be_recorded_runs_without_and_says_so(monkeypatch):
    monkeypatch.setattr(backend_module, "RecordedNetwork", refuse(RuntimeError("operation not permitted\nat line 7")))
    backend = TorchBackend(Network(), SPEC, "cpu", recorded=True)
    batch = np.ones((1, 3, 32, 64), np.float32)
    assert backend.run(batch).max() == 3
    assert backend.device_reason == (
        "as asked for, without a CUDA graph, since PyTorch can't record one (operation not permitted)"
    )
    backend.run(batch)
    assert backend.device_reason.count("CUDA graph") == 1
    assert backend.empty_input() is None


def test_a_gpu_without_memory_is_one_sentence(monkeypatch):
    backend = TorchBackend(Network(), SPEC, "cpu")
    monkeypatch.setattr(Network, "forward", refuse(torch.OutOfMemoryError(FULL)))
    with pytest.raises(LightDepthError, match=r"doesn't hold 2 images of small \(CUDA out of memory\); free some"):
        backend.run(np.ones((2, 3, 32, 64), np.float32))
