"""Run a baseline through ONNX Runtime, as our own models are: one exported file for each input size."""

from __future__ import annotations

import copy
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import nn

from lightdepth_export.onnx.trace import run_exporter
from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.backends.baseline import BASELINE_KEY, BaselineBackend, BaselineSpec, open_baseline
from lightdepth_runtime.closing import Closing
from lightdepth_runtime.spec import Precision

from ..network.macs import count_gmacs
from .depth_anything import DepthAnything, depth_anything_size, load_depth_anything
from .names import DEPTH_ANYTHING_SMALL

__all__ = ["Baseline", "export_baseline"]


class Baseline(Closing):
    """Depth Anything V2 behind one call; its files live in a temporary folder that `close` deletes.

    Example:
        with Baseline("random", threads=2) as baseline:
            inverse_depth = baseline(image)  # uint8 RGB (H, W, 3) -> float32 (h, w)
    """

    def __init__(
        self, weights: str, name: str = DEPTH_ANYTHING_SMALL, *, device: str = "auto", threads: int | None = None
    ) -> None:
        self.model = load_depth_anything(weights, name)
        self._device, self._threads = device, threads
        self._folder = tempfile.TemporaryDirectory(prefix="lightdepth-")
        self._open: dict[tuple[int, int], BaselineBackend] = {}

    @property
    def backend(self) -> BaselineBackend | None:
        """What runs it; None before the first frame, whose size decides the file."""
        return next(iter(self._open.values()), None)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict one frame (H, W, 3) at the size that its own aspect ratio asks for."""
        size = depth_anything_size(image.shape[0], image.shape[1], self.model.preprocessing)
        if size not in self._open:
            self._open[size] = open_baseline(self.export(image.shape[0], image.shape[1]), self._device, self._threads)
        return self._open[size](image)

    def export(self, frame_height: int, frame_width: int, precision: Precision = "fp32") -> Path:
        """Write the ONNX file for frames of a size, FP32 or FP16, or return the one that is there."""
        height, width = depth_anything_size(frame_height, frame_width, self.model.preprocessing)
        suffix = "" if precision == "fp32" else f".{precision}"
        path = Path(self._folder.name) / f"{self.model.name}-{height}x{width}{suffix}.onnx"
        if not path.exists():
            export_baseline(self.model, height, width, path, precision=precision)
        return path

    def close(self) -> None:
        """Drop the sessions and delete the files."""
        for backend in self._open.values():
            backend.close()
        self._open.clear()
        self._folder.cleanup()


def export_baseline(
    model: DepthAnything, height: int, width: int, path: Path, *, precision: Precision = "fp32"
) -> BaselineSpec:
    """Write a baseline as one ONNX file of a fixed input size, with its BaselineSpec inside.

    FP16 is the network in half precision with FP32 input and output, as LightDepth's own FP16 files are, so that the
    two can be compared.

    Raises:
        LightDepthError: PyTorch can't trace it, or the file can't be written.
    """
    spec = BaselineSpec(
        name=model.name,
        kind=model.kind,
        input_height=height,
        input_width=width,
        parameters=model.parameters,
        weights=model.weights,
        gmacs=count_gmacs(model.network, height, width),
        mean=model.preprocessing.mean,
        std=model.preprocessing.std,
        precision=precision,
    )
    network: nn.Module = copy.deepcopy(model.network)
    if precision == "fp16":
        network = _HalfNetwork(network)
    traced = run_exporter(
        network, torch.zeros(1, 3, height, width), spec.input_name, [spec.output_name], name=model.name
    )
    traced.metadata_props.add(key=BASELINE_KEY, value=spec.to_json())
    with atomic_path(path) as temporary:
        onnx.save_model(traced, str(temporary))
    return spec


class _HalfNetwork(nn.Module):
    """A network in FP16 between two casts."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network.half()

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Map float32 (1, 3, H, W) to the network's output in float32."""
        return self.network(image.half()).float()
