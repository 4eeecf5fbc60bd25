"""Run a checkpoint behind the same Backend protocol as every exported model."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lightdepth_runtime.backends.backend import sigma_tensor_of
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

from .checkpoint import load_checkpoint

__all__ = ["TorchBackend", "open_checkpoint"]


BATCH_ON_GPU = 8


class TorchBackend:
    """A PyTorch module in evaluation mode on one device.

    The module returns depth (B, 1, H, W), or, where the spec has a `sigma_tensor`, depth and sigma.
    """

    def __init__(self, model: nn.Module, spec: ModelSpec, device: str, *, device_reason: str = "as asked for") -> None:
        self.spec, self.device, self.device_reason = spec, device, device_reason
        self.name = "torch"
        self._device = torch.device(device)
        # Of `DepthEstimator.infer_batch`: a GPU takes eight frames in little more time than one, a CPU in eight times.
        self.largest_batch = BATCH_ON_GPU if self._device.type == "cuda" else 1
        self._model: nn.Module | None = model.eval().to(self._device)

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) normalised images to (B, 1, H, W) metres."""
        with torch.inference_mode():
            output = self._forward(batch)
            return _to_numpy(output if self.spec.sigma_tensor is None else output[0])

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map (B, 3, H, W) normalised images to depth and sigma, (B, 1, H, W) each."""
        sigma_tensor_of(self.spec)
        with torch.inference_mode():
            depth_m, sigma = self._forward(batch)
            return _to_numpy(depth_m), _to_numpy(sigma)

    def _forward(self, batch: NDArray[np.float32]) -> Any:  # Any: a tensor or two
        if self._model is None:
            raise LightDepthError("This model was closed; load it again.")
        return self._model(torch.from_numpy(batch).to(self._device))

    def close(self) -> None:
        """Give the network's memory back."""
        self._model = None


def _to_numpy(output: torch.Tensor) -> NDArray[np.float32]:
    return output.float().cpu().numpy()


def open_checkpoint(path: Path, device: str, threads: int | None) -> TorchBackend:
    """Open a checkpoint; "auto" is CUDA where there is one, else the CPU.

    Raises:
        LightDepthError: not a checkpoint, CUDA asked for and absent, or a device that PyTorch doesn't serve.
    """
    if device not in ("auto", "cpu", "cuda"):
        raise LightDepthError(f"A checkpoint runs on auto, cpu or cuda, not {device!r}; export it for other backends.")
    if device == "cuda" and not torch.cuda.is_available():
        raise LightDepthError(
            "PyTorch finds no CUDA device here; choose --device cpu, or check the driver with nvidia-smi."
        )
    reason = "as asked for"
    if device == "auto":
        device, reason = (
            ("cuda", "since PyTorch finds a GPU")
            if torch.cuda.is_available()
            else ("cpu", "since PyTorch finds no GPU")
        )
    if threads is not None:
        torch.set_num_threads(threads)
    checkpoint = load_checkpoint(path)
    return TorchBackend(checkpoint.model, checkpoint.spec, device, device_reason=reason)
