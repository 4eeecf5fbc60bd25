"""ONNX Runtime on CPU or CUDA. A provider that fell back to the CPU is an error, never a surprise."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import SPEC_KEY, ModelSpec

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxRuntimeBackend", "open_onnx", "open_session"]

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeBackend:
    """An inference session with its spec."""

    name = "onnxruntime"

    def __init__(self, session: onnxruntime.InferenceSession, spec: ModelSpec, device: str) -> None:
        self.spec, self.device = spec, device
        self._session: onnxruntime.InferenceSession | None = session

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) normalised images to (B, 1, H, W) metres."""
        if self._session is None:
            raise LightDepthError("This model was closed; load it again.")
        return self._session.run([self.spec.output_name], {self.spec.input_name: batch})[0]

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def open_onnx(path: Path, device: str, threads: int | None) -> OnnxRuntimeBackend:
    """Open an ONNX file with the spec in its metadata.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, no LightDepth metadata, or a provider that isn't there.
    """
    session, device = open_session(path, device, threads)
    text = session.get_modelmeta().custom_metadata_map.get(SPEC_KEY)
    if text is None:
        raise LightDepthError(
            f"{path} has no LightDepth metadata, so its input and unit are unknown; write it with `lightdepth export`."
        )
    return OnnxRuntimeBackend(session, ModelSpec.from_json(text), device)


def open_session(path: Path, device: str, threads: int | None) -> tuple[onnxruntime.InferenceSession, str]:
    """Open any ONNX file on the device asked for; return the session and the device it really uses.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, or a provider that isn't there.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise LightDepthError(
            'ONNX Runtime is missing; install it with: pip install "lightdepth-runtime[cpu]", or '
            '"lightdepth-runtime[gpu]" for CUDA.'
        ) from error
    if device == "auto":
        device = (
            "cuda"
            if "CUDAExecutionProvider" in onnxruntime.get_available_providers() and _has_nvidia_device()
            else "cpu"
        )
    if device not in _PROVIDERS:
        raise LightDepthError(f"An ONNX model runs on {', '.join(_PROVIDERS)} or auto, not {device!r}.")
    session = _open_session(path, _PROVIDERS[device], threads)
    if session.get_providers()[0] != _PROVIDERS[device]:
        raise LightDepthError(
            f"ONNX Runtime can't use {device} here (it fell back to {session.get_providers()[0]}); install "
            "lightdepth-runtime[gpu] and the CUDA libraries, or choose --device cpu."
        )
    return session, device


def _open_session(path: Path, provider: str, threads: int | None) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: fallbacks are checked by the caller
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime raises its own classes, which it doesn't export by name
        raise LightDepthError(
            f"{path} can't be opened by ONNX Runtime ({str(error).splitlines()[0][:200]}). Export it again."
        ) from error


def _has_nvidia_device() -> bool:
    """Ask the driver's device files: `get_available_providers` lists CUDA on machines without a GPU too."""
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/dxg"))
