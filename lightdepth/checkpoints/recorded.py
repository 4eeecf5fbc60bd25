"""A network's work on one batch size, recorded as a CUDA graph and replayed: launches cost nothing any more."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

__all__ = ["RecordedNetwork"]

WARM_UP_RUNS = 3  # PyTorch chooses kernels and takes memory in the first ones, which a recording mustn't


class RecordedNetwork:
    """A recording with the page-locked host memory that its input comes from and its outputs go to.

    Args:
        model: on the device, in its precision; its weights stay where they are.
        shape: of the batch, (B, 3, H, W).
        device: a GPU.
        dtype: of the model.

    Raises:
        RuntimeError: PyTorch can't record the network, or memory runs out.
    """

    def __init__(self, model: nn.Module, shape: tuple[int, ...], device: torch.device, dtype: torch.dtype) -> None:
        self._device = device
        self._host = torch.zeros(shape, pin_memory=True)
        self._input = torch.zeros(shape, device=device)
        with torch.cuda.device(device):
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                for _ in range(WARM_UP_RUNS):
                    self._outputs = _forward(model, self._input, dtype)
            torch.cuda.current_stream().wait_stream(stream)
            self._graph = torch.cuda.CUDAGraph()
            # Not PyTorch's "global", which ends the recording where any thread of the program takes memory meanwhile.
            with torch.cuda.graph(self._graph, capture_error_mode="thread_local"):
                self._outputs = _forward(model, self._input, dtype)
        self._results = [torch.empty(output.shape, pin_memory=True) for output in self._outputs]

    @property
    def staging(self) -> NDArray[np.float32]:
        """The host memory of the input."""
        return self._host.numpy()

    def run(self, batch: NDArray[np.float32], outputs: int) -> list[NDArray[np.float32]]:
        """Return the first `outputs` tensors of one batch, in arrays of their own."""
        staging = self.staging
        if batch.__array_interface__["data"] != staging.__array_interface__["data"]:
            np.copyto(staging, batch)
        with torch.cuda.device(self._device):
            self._input.copy_(self._host, non_blocking=True)
            self._graph.replay()
            for result, output in zip(self._results[:outputs], self._outputs, strict=False):
                result.copy_(output, non_blocking=True)
            torch.cuda.current_stream().synchronize()
        return [result.numpy().copy() for result in self._results[:outputs]]


def _forward(model: nn.Module, image: torch.Tensor, dtype: torch.dtype) -> tuple[torch.Tensor, ...]:
    output = model(image.to(dtype=dtype, memory_format=torch.channels_last))
    both = (output,) if isinstance(output, torch.Tensor) else output
    return tuple(tensor.float().contiguous() for tensor in both)
