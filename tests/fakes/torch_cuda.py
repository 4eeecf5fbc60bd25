"""PyTorch's CUDA graphs on the CPU: what is recorded runs again at each replay, on the same tensors."""

from contextlib import contextmanager, nullcontext
from types import SimpleNamespace

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class FakeGraph(TorchDispatchMode):
    """Keeps each operation with its tensors; a tensor that was made while recording keeps its memory."""

    def __init__(self):
        super().__init__()
        self._steps = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        self._steps.append((func, args, kwargs or {}, result))
        return result

    def replay(self):
        for func, args, kwargs, kept in self._steps:
            again = func(*args, **kwargs)
            for old, new in zip(tree_leaves(kept), tree_leaves(again), strict=True):
                if isinstance(old, torch.Tensor) and old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def install_torch_cuda(monkeypatch):
    """Put the fake in the place of what `RecordedNetwork` calls; memory of the CPU stands for page-locked memory."""

    @contextmanager
    def graph(recording, *, capture_error_mode):
        assert capture_error_mode == "thread_local"
        with recording:
            yield

    stream = SimpleNamespace(wait_stream=lambda _: None, synchronize=lambda: None)
    for name, value in {
        "CUDAGraph": FakeGraph,
        "graph": graph,
        "device": nullcontext,
        "stream": nullcontext,
        "Stream": lambda: stream,
        "current_stream": lambda: stream,
    }.items():
        assert hasattr(torch.cuda, name)
        monkeypatch.setattr(torch.cuda, name, value)
    for name in ("zeros", "empty"):
        make = getattr(torch, name)
        monkeypatch.setattr(torch, name, lambda *size, make=make, pin_memory=False, **more: make(*size, **more))
