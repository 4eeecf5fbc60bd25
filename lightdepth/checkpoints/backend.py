"""Run a checkpoint behind the same Backend protocol as every exported model."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightdepth_runtime.backends.backend import NamedOutputs
from lightdepth_runtime.backends.device import cuda_index
from lightdepth_runtime.errors import LightDepthError, first_line
from lightdepth_runtime.spec import ModelSpec

from .checkpoint import load_checkpoint
from .recorded import RecordedNetwork

__all__ = ["HALF_DEVICE", "TorchBackend", "first_sentence", "open_checkpoint"]

BATCH_ON_GPU = 8
HALF_DEVICE = "cuda-fp16"  # the first GPU, computing in FP16


class TorchBackend(NamedOutputs):
    """A PyTorch module in evaluation mode on one device.

    Args:
        model: returns depth (B, 1, H, W), or, where the spec has a `sigma_tensor`, depth and sigma.
        spec: of the model.
        device: "cpu", "cuda" or "cuda:N".
        device_reason: half a sentence why.
        recorded: replay a CUDA graph for each batch size, with channels last. The module is then this backend's alone:
            its weights must stay where they are. One that can't be recorded runs without, and `device_reason` says so.
    """

    name = "torch"

    def __init__(
        self,
        model: nn.Module,
        spec: ModelSpec,
        device: str,
        *,
        device_reason: str = "as asked for",
        recorded: bool = False,
    ) -> None:
        self.spec, self.device, self.device_reason = spec, device, device_reason
        self._device = torch.device(device)
        self._dtype = torch.float16 if spec.precision == "fp16" else torch.float32
        self._model: nn.Module | None = model.eval().to(self._device, self._dtype)
        # Of `DepthEstimator.infer_batch`: a GPU takes eight frames in little more time than one, a CPU in eight times.
        # A recorded network keeps a graph for each size: one frame's, eight frames', and that of the last few.
        self.largest_batch = BATCH_ON_GPU if self._device.type == "cuda" else 1
        self._lock = threading.Lock()
        self._graphs: dict[int, RecordedNetwork] | None = {} if recorded else None
        if recorded:
            self._model = self._model.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  untyped

    def _run(self, names: Sequence[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        with self._lock, torch.inference_mode():
            if self._model is None:
                raise LightDepthError("This model was closed; load it again.")
            try:
                graph = self._record(self._model, len(batch))
                if graph is not None:
                    return graph.run(batch, len(names))
                output = self._model(torch.from_numpy(batch).to(self._device, self._dtype))
                both = (output,) if isinstance(output, torch.Tensor) else output
                return [tensor.float().cpu().contiguous().numpy() for tensor in both[: len(names)]]
            except torch.OutOfMemoryError as error:
                raise LightDepthError(
                    f"The GPU's memory doesn't hold {len(batch)} images of {self.spec.name} ({first_sentence(error)}); "
                    "free some (nvidia-smi says who has it), or choose --device cpu."
                ) from error

    def _record(self, model: nn.Module, size: int) -> RecordedNetwork | None:
        """Return the recording of a batch size, made when it first comes, or None where there is none."""
        if self._graphs is None:
            return None
        if size not in self._graphs:
            shape = (size, 3, self.spec.input_height, self.spec.input_width)
            try:
                self._graphs[size] = RecordedNetwork(model, shape, self._device, self._dtype)
            except RuntimeError as error:
                self._graphs = None
                self.device_reason += (
                    f", without a CUDA graph, since PyTorch can't record one ({first_sentence(error)})"
                )
                return None
        return self._graphs[size]

    def empty_input(self, count: int = 1) -> NDArray[np.float32] | None:
        """Return page-locked memory for a batch that `run` takes without another copy, or None where there is none."""
        with self._lock, torch.inference_mode():
            graph = None if self._model is None else self._record(self._model, count)
            return None if graph is None else graph.staging

    def close(self) -> None:
        """Give the network's memory back."""
        with self._lock:
            self._model, self._graphs = None, None


def first_sentence(error: RuntimeError) -> str:
    """Return the beginning of what PyTorch says, for the middle of a sentence."""
    return first_line(error, 150).split(". ")[0]


def open_checkpoint(path: Path, device: str, threads: int | None) -> TorchBackend:
    """Open a checkpoint; "auto" is CUDA where there is one, else the CPU.

    On a GPU the network's work is recorded once and replayed. "cuda-fp16" computes in FP16 there; the spec says so.

    Raises:
        LightDepthError: not a checkpoint, CUDA asked for and absent, or a device that PyTorch doesn't serve.
    """
    reason, half = "as asked for", device == HALF_DEVICE
    if half:
        device = "cuda"
    elif device == "auto" and torch.cuda.is_available():
        device, reason = "cuda", "since PyTorch finds a GPU"
    elif device == "auto":
        device, reason = "cpu", "since PyTorch finds no GPU"
    index = cuda_index(device)
    if index is None and device != "cpu":
        raise LightDepthError(
            f"A checkpoint runs on auto, cpu, cuda, cuda:N or {HALF_DEVICE}, not {device!r}; export it for other "
            "backends."
        )
    if index is not None and not torch.cuda.is_available():
        raise LightDepthError(
            "PyTorch finds no CUDA device here; choose --device cpu, or check the driver with nvidia-smi."
        )
    if index is not None and index >= torch.cuda.device_count():
        raise LightDepthError(f"There is no {device} here; PyTorch finds {torch.cuda.device_count()}, from cuda:0 on.")
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(path)
    spec = checkpoint.spec.with_changes(precision="fp16") if half else checkpoint.spec
    return TorchBackend(checkpoint.model, spec, device, device_reason=reason, recorded=index is not None)
