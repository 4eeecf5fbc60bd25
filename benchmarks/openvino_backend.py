"""OpenVINO on the CPU, for comparing each network on its own fastest backend."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.backends.onnx_runtime import open_onnx
from lightdepth_runtime.baseline import BaselineSpec, is_baseline, open_baseline
from lightdepth_runtime.spec import ModelSpec

__all__ = ["OpenVinoBackend"]


class OpenVinoBackend:
    """An ONNX file compiled by OpenVINO in FP32, tuned for the latency of single frames."""

    name = "openvino"
    device = "cpu"

    def __init__(self, path: Path, threads: int) -> None:
        core = importlib.import_module("openvino").Core()  # an optional package, so it is asked for only here
        config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": "f32",  # else newer processors would quietly run in bf16
        }
        self.spec = _spec_of(path)
        self._model: Any = core.compile_model(str(path), "CPU", config)  # Any: openvino ships no complete stubs

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one batch and wait for it."""
        return self._model(batch)[0]

    def close(self) -> None:
        """Drop the compiled model."""
        self._model = None


def _spec_of(path: Path) -> ModelSpec | BaselineSpec:
    backend = open_baseline(path, "cpu", 1) if is_baseline(path) else open_onnx(path, "cpu", 1)
    spec = backend.spec
    backend.close()
    return spec
