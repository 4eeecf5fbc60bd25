"""OpenVINO on the CPU: often the fastest backend of x86 processors."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import SPEC_KEY, ModelSpec
from .backend import sigma_tensor_of, spec_of_metadata
from .onnx.backend import check_for_cpu
from .onnx.session import LARGEST_BATCH
from .signal_stack import signal_stack_kept

__all__ = ["OpenVinoBackend", "compile_openvino", "open_openvino"]

_METADATA = "framework"  # where OpenVINO's ONNX reader keeps metadata_props


class OpenVinoBackend:
    """A compiled model with its spec."""

    name = "openvino"
    device = "cpu"
    device_reason = "as asked for"

    def __init__(self, model: Any, spec: ModelSpec) -> None:  # Any: openvino's stubs are incomplete
        self.spec = spec
        self._model = model
        self._one_by_one = model.inputs[0].partial_shape[0].to_string() == "1"
        self.largest_batch = LARGEST_BATCH if model.inputs[0].partial_shape[0].is_dynamic else 1

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) normalised images to (B, 1, H, W) metres; a graph of batch 1 runs B times."""
        return self._run([self.spec.output_name], batch)[0]

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map (B, 3, H, W) normalised images to depth and sigma, (B, 1, H, W) each."""
        depth_m, sigma = self._run([self.spec.output_name, sigma_tensor_of(self.spec)], batch)
        return depth_m, sigma

    def _run(self, names: list[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self._model is None:
            raise LightDepthError("This model was closed; load it again.")
        if self._one_by_one and len(batch) > 1:
            each = [self._run(names, image[None]) for image in batch]
            return [np.concatenate(arrays) for arrays in zip(*each, strict=True)]
        outputs = self._model(batch)  # OpenVINO copies them out of its own memory
        return [outputs[name] for name in names]

    def close(self) -> None:
        """Drop the compiled model."""
        self._model = None


def open_openvino(path: Path, threads: int | None = None) -> OpenVinoBackend:
    """Open an ONNX file with the spec in its metadata.

    Raises:
        LightDepthError: OpenVINO missing, not an ONNX file, damaged, without LightDepth metadata or with another
            graph's, or INT8 for TensorRT.
    """
    if path.suffix.lower() != ".onnx":
        raise LightDepthError(f"OpenVINO opens .onnx files, not {path.name!r}; export the model first.")
    core = _core()
    model = _read(core, path)
    spec = spec_of_metadata(_metadata(model, SPEC_KEY), path)
    inputs, outputs = ([tensor.any_name for tensor in tensors] for tensors in (model.inputs, model.outputs))
    wanted = {spec.output_name, spec.sigma_tensor} - {None}
    if inputs != [spec.input_name] or set(outputs) != wanted:
        raise LightDepthError(
            f"{path} takes {inputs} and gives {outputs}, but its metadata says {spec.input_name!r} and "
            f"{' and '.join(map(repr, sorted(wanted)))}; export it again."
        )
    check_for_cpu(path, spec)
    return OpenVinoBackend(_compile(core, model, threads), spec)


def compile_openvino(
    path: Path, threads: int | None, metadata_key: str
) -> tuple[Any, str | None]:  # Any: openvino's stubs are incomplete
    """Compile any ONNX file in FP32, tuned for the latency of single frames; return the metadata under a key with it.

    Raises:
        LightDepthError: OpenVINO missing, or a damaged file.
    """
    core = _core()
    model = _read(core, path)
    return _compile(core, model, threads), _metadata(model, metadata_key)


def _metadata(model: Any, key: str) -> str | None:
    place = [_METADATA, key]
    return model.get_rt_info(place).astype(str) if model.has_rt_info(place) else None


def _core() -> Any:
    try:
        return importlib.import_module("openvino").Core()
    except ImportError as error:
        raise LightDepthError("OpenVINO is missing; install it with: pip install openvino") from error


def _read(core: Any, path: Path) -> Any:
    try:
        return core.read_model(str(path))
    except RuntimeError as error:
        raise LightDepthError(
            f"{path} can't be opened by OpenVINO: it is damaged, no ONNX file, or has an operator that this version "
            "doesn't know; export it again."
        ) from error


def _compile(core: Any, model: Any, threads: int | None) -> Any:
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else newer processors would quietly run in bf16
    }
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    with signal_stack_kept():
        return core.compile_model(model, "CPU", config)
