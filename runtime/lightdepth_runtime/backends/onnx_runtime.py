"""ONNX Runtime on CPU or CUDA. A provider that fell back to the CPU is an error, never a surprise."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import SPEC_KEY, ModelSpec
from .backend import sigma_tensor_of

if TYPE_CHECKING:
    from types import ModuleType

    import onnxruntime

__all__ = ["LARGEST_BATCH", "OnnxRuntimeBackend", "check_for_cpu", "choose_device", "open_onnx", "open_session"]

LARGEST_BATCH = 8  # of an open batch: more frames at once take memory and gain nothing
_PACKAGES = ("onnxruntime", "onnxruntime-gpu")  # both bring the module `onnxruntime`
_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxRuntimeBackend:
    """An inference session with its spec."""

    name = "onnxruntime"

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        spec: ModelSpec,
        device: str,
        *,
        device_reason: str = "as asked for",
    ) -> None:
        self.spec, self.device, self.device_reason = spec, device, device_reason
        self._session: onnxruntime.InferenceSession | None = session
        self._fixed_batch = session.get_inputs()[0].shape[0]  # an int, or the name of an open dimension
        self.largest_batch = 1 if isinstance(self._fixed_batch, int) else LARGEST_BATCH

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) normalised images to (B, 1, H, W) metres; a graph of batch 1 runs B times."""
        return self._run([self.spec.output_name], batch)[0]

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map (B, 3, H, W) normalised images to depth and sigma, (B, 1, H, W) each."""
        depth_m, sigma = self._run([self.spec.output_name, sigma_tensor_of(self.spec)], batch)
        return depth_m, sigma

    def _run(self, names: list[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self._session is None:
            raise LightDepthError("This model was closed; load it again.")
        if self._fixed_batch == 1 and len(batch) > 1:
            each = [self._run(names, image[None]) for image in batch]
            return [np.concatenate(arrays) for arrays in zip(*each, strict=True)]
        outputs = self._session.run(names, {self.spec.input_name: batch})
        return cast("list[NDArray[np.float32]]", outputs)  # the stub allows for sparse outputs, which no network has

    def close(self) -> None:
        """Drop the session."""
        self._session = None


def open_onnx(path: Path, device: str, threads: int | None) -> OnnxRuntimeBackend:
    """Open an ONNX file with the spec in its metadata.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, no LightDepth metadata, a provider that isn't there, or
            INT8 for TensorRT on a CPU.
    """
    reason = choose_device()[1] if device == "auto" else "as asked for"
    session, device = open_session(path, device, threads)
    text = session.get_modelmeta().custom_metadata_map.get(SPEC_KEY)
    if text is None:
        raise LightDepthError(
            f"{path} has no LightDepth metadata, so its input and unit are unknown; write it with `lightdepth export`."
        )
    spec = ModelSpec.from_json(text)
    _check_tensors(path, session, spec)
    if device == "cpu":
        check_for_cpu(path, spec)
    return OnnxRuntimeBackend(session, spec, device, device_reason=reason)


def check_for_cpu(path: Path, spec: ModelSpec) -> None:
    """Refuse INT8 that was made for TensorRT: what a CPU makes of it depends on the CPU.

    Symmetric activations and 8-bit weights overflow on x86 CPUs without VNNI, and in OpenVINO cost 7 % of AbsRel.
    """
    if spec.quantized_for == "tensorrt":
        raise LightDepthError(
            f"{path.name} is INT8 for TensorRT, and a CPU would compute wrong depth with it; open the .int8.cpu.onnx "
            "of the same export, or build an engine with python -m lightdepth_export.engine."
        )


def open_session(path: Path, device: str, threads: int | None) -> tuple[onnxruntime.InferenceSession, str]:
    """Open any ONNX file on the device asked for; return the session and the device it really uses.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, or a provider that isn't there.
    """
    onnxruntime = _import_onnxruntime()
    if device == "auto":
        device = choose_device()[0]
    if device not in _PROVIDERS:
        raise LightDepthError(f"An ONNX model runs on {', '.join(_PROVIDERS)}, openvino or auto, not {device!r}.")
    provider = _PROVIDERS[device]
    if provider not in onnxruntime.get_available_providers():
        raise _provider_missing(device, "this onnxruntime was built without it")
    session = _open_session(path, provider, threads)
    if session.get_providers()[0] != provider:
        raise _provider_missing(device, f"it fell back to {session.get_providers()[0]}")
    return session, device


def choose_device() -> tuple[str, str]:
    """Return what "auto" means here, "cuda" or "cpu", and half a sentence why.

    Raises:
        LightDepthError: ONNX Runtime missing.
    """
    built_in = _PROVIDERS["cuda"] in _import_onnxruntime().get_available_providers()
    if not _has_nvidia_device():
        return "cpu", "since no NVIDIA GPU is here"
    if not built_in:
        return "cpu", "since this onnxruntime has no CUDA (onnxruntime-gpu has), though an NVIDIA GPU is here"
    return "cuda", "since an NVIDIA GPU is here"


def _import_onnxruntime() -> ModuleType:
    _check_one_package()
    try:
        import onnxruntime
    except ImportError as error:
        raise LightDepthError(
            "ONNX Runtime is missing; install it with: pip install onnxruntime (or onnxruntime-gpu, which has CUDA; "
            "never both)"
        ) from error
    return onnxruntime


def _check_one_package() -> None:
    """Refuse to work with both builds of ONNX Runtime: they write the same files, so that neither is whole."""
    found = [name for name in _PACKAGES if _is_installed(name)]
    if len(found) > 1:
        raise LightDepthError(
            f"{' and '.join(found)} are both installed and overwrite each other's files; remove them and install one: "
            f"pip uninstall -y {' '.join(found)} && pip install {found[0]} (or {found[1]}, which has CUDA)"
        )


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _open_session(path: Path, provider: str, threads: int | None) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only: fallbacks are checked by the caller
    if threads is not None:
        options.intra_op_num_threads = threads
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=[provider])
    except Exception as error:  # onnxruntime raises its own classes, which it doesn't export by name
        reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
        raise LightDepthError(f"{path} can't be opened by ONNX Runtime ({reason}); export it again.") from error


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


def _provider_missing(device: str, reason: str) -> LightDepthError:
    return LightDepthError(
        f"ONNX Runtime can't use {device} here ({reason}); install lightdepth-runtime[gpu] and the CUDA libraries, "
        "or choose --device cpu."
    )


def _has_nvidia_device() -> bool:
    """Ask the driver's device files: `get_available_providers` lists CUDA on machines without a GPU too."""
    return any(Path(device).exists() for device in ("/dev/nvidia0", "/dev/nvhost-gpu", "/dev/dxg"))
