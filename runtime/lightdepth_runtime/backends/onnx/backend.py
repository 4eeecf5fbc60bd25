"""ONNX Runtime on CPU or CUDA behind the Backend protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError
from ...spec import SPEC_KEY, ModelSpec
from ..backend import sigma_tensor_of, spec_of_metadata
from .cuda_session import CudaSession
from .session import LARGEST_BATCH, open_session

if TYPE_CHECKING:
    import onnxruntime

__all__ = ["OnnxRuntimeBackend", "check_for_cpu", "open_onnx"]


class OnnxRuntimeBackend:
    """An inference session with its spec.

    Args:
        session: of the graph; one that is bound to device buffers is closed with the backend.
        spec: of the graph.
        device: what it runs on, "cpu", "cuda" or "cuda:N".
        device_reason: half a sentence why.
    """

    name = "onnxruntime"

    def __init__(
        self,
        session: onnxruntime.InferenceSession | CudaSession,
        spec: ModelSpec,
        device: str,
        *,
        device_reason: str = "as asked for",
    ) -> None:
        self.spec, self.device, self.device_reason = spec, device, device_reason
        self._session: onnxruntime.InferenceSession | CudaSession | None = session
        graph = session.session if isinstance(session, CudaSession) else session
        batch = graph.get_inputs()[0].shape[0]  # an int, or the name of an open dimension
        self.largest_batch = 1 if isinstance(batch, int) else LARGEST_BATCH
        self._most_at_once = batch if isinstance(batch, int) else LARGEST_BATCH

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) normalised images to (B, 1, H, W) metres; a graph of batch 1 runs B times."""
        return self._run([self.spec.output_name], batch)[0]

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map (B, 3, H, W) normalised images to depth and sigma, (B, 1, H, W) each."""
        depth_m, sigma = self._run([self.spec.output_name, sigma_tensor_of(self.spec)], batch)
        return depth_m, sigma

    def _run(self, names: list[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        most = self._most_at_once
        if len(batch) > most:
            each = [self._run(names, batch[start : start + most]) for start in range(0, len(batch), most)]
            return [np.concatenate(arrays) for arrays in zip(*each, strict=True)]
        session = self._session
        if session is None:
            raise LightDepthError("This model was closed; load it again.")
        if isinstance(session, CudaSession):
            return session.run(names, batch)
        outputs = session.run(names, {self.spec.input_name: batch})
        return cast("list[NDArray[np.float32]]", outputs)  # the stub allows for sparse outputs, which no network has

    def empty_input(self, count: int = 1) -> NDArray[np.float32] | None:
        """Return memory for a batch that `run` takes without another copy, or None where any array is as good."""
        return self._session.empty_input(count) if isinstance(self._session, CudaSession) else None

    def close(self) -> None:
        """Drop the session and free its buffers."""
        session, self._session = self._session, None
        if isinstance(session, CudaSession):
            session.close()


def open_onnx(path: Path, device: str, threads: int | None) -> OnnxRuntimeBackend:
    """Open an ONNX file with the spec in its metadata.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, no LightDepth metadata, a provider that isn't there, no
            such GPU, or INT8 for TensorRT on a CPU.
    """
    opened = open_session(path, device, threads)
    try:
        spec = spec_of_metadata(opened.graph.get_modelmeta().custom_metadata_map.get(SPEC_KEY), path)
        _check_tensors(path, opened.graph, spec)
        if opened.device == "cpu":
            check_for_cpu(path, spec)
    except LightDepthError:
        opened.close()
        raise
    return OnnxRuntimeBackend(opened.session, spec, opened.device, device_reason=opened.reason)


def check_for_cpu(path: Path, spec: ModelSpec) -> None:
    """Refuse INT8 that was made for TensorRT: what a CPU makes of it depends on the CPU.

    Symmetric activations and 8-bit weights overflow on x86 CPUs without VNNI, and in OpenVINO cost 7 % of AbsRel.
    """
    if spec.quantized_for == "tensorrt":
        raise LightDepthError(
            f"{path.name} is INT8 for TensorRT, and a CPU would compute wrong depth with it; open the .int8.cpu.onnx "
            "of the same export, or build an engine with python -m lightdepth_export.engine."
        )


def _check_tensors(path: Path, session: onnxruntime.InferenceSession, spec: ModelSpec) -> None:
    """Refuse a spec that isn't this graph's: other tensor names or another input size."""
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    size = [3, spec.input_height, spec.input_width]
    if spec.frame_height is not None:  # preprocessing is in the graph
        size = [spec.frame_height, spec.frame_width, 3]
    wanted = {spec.output_name, spec.sigma_tensor} - {None}
    fits = list(inputs) == [spec.input_name] and inputs[spec.input_name][1:] == size and wanted <= set(outputs)
    if not fits:
        raise LightDepthError(
            f"{path} takes {inputs} and gives {outputs}, but its metadata says {spec.input_name!r} of {size} and "
            f"{' and '.join(map(repr, sorted(wanted)))}; export it again."
        )
