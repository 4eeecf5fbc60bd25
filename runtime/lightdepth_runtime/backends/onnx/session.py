"""Open ONNX files in ONNX Runtime. A provider that fell back to the CPU is an error, never a surprise."""

from __future__ import annotations

import contextlib
import io
import os
import re
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError, first_line
from ..device import cuda_index
from ..device_buffers import load_cudart, open_cuda
from .cuda_session import PROVIDER as CUDA_PROVIDER
from .cuda_session import CudaSession, OpenShapeError, open_cuda_session
from .file import OnnxVersions, onnx_versions

if TYPE_CHECKING:
    from types import ModuleType

    import onnxruntime

__all__ = ["LARGEST_BATCH", "OnnxGraph", "choose_device", "graph_of", "has_nvidia_device", "open_session"]

LARGEST_BATCH = 8  # of an open batch: more frames at once take memory and gain nothing
_PACKAGES = ("onnxruntime", "onnxruntime-gpu")  # both bring the module `onnxruntime`
DEVICES = Path("/dev")
_TOO_NEW = re.compile(r"Unsupported model IR version|Opset \d+ is under development")
_DOMAIN = re.compile(
    r"Opset (\d+) is .* domain (?!ai\.onnx )(\S+) is till opset", re.DOTALL
)  # another than the standard
_PREFIX = re.compile(r".*\[ONNXRuntimeError\] : \d+ : \w+ : (?:Load model from .*? failed:)?", re.DOTALL)
_REASON = 240  # characters of ONNX Runtime's words, whose end tells the cause
# What to do by ONNX Runtime's words, where it isn't to export again.
_WAYS_OUT = (
    (("external", "get file size"), "copy the file of its weights beside it, whole, or export it again as one file"),
    (("registered",), "update ONNX Runtime, which may be older than its operators, or export it again"),
)
_CPU_PROVIDER = "CPUExecutionProvider"


@dataclass(frozen=True)
class OnnxGraph:
    """An ONNX file that a library has opened.

    `device` is what it really runs on ("cpu", "cuda", "cuda:1"), and `reason` half a sentence why. `inputs` are their
    shapes, in which a size is an int or open. `run` maps the names of outputs and a batch to arrays of their own;
    `empty_input` and `close` are `Backend`'s.
    """

    library: str
    device: str
    reason: str
    inputs: Mapping[str, Sequence[object]]
    outputs: Sequence[str]
    metadata: Mapping[str, str]
    run: Callable[[Sequence[str], NDArray[Any]], list[NDArray[np.float32]]]  # Any: float32, or a frame's uint8
    empty_input: Callable[[int], NDArray[Any] | None] = lambda _: None
    close: Callable[[], None] = lambda: None


def graph_of(
    session: onnxruntime.InferenceSession,
    device: str = "cpu",
    reason: str = "as asked for",
    bound: CudaSession | None = None,
) -> OnnxGraph:
    """Return the graph of a session; `bound` runs it where it is bound to device buffers, and alone holds it then."""
    inputs = {node.name: node.shape for node in session.get_inputs()}
    outputs = [node.name for node in session.get_outputs()]
    described = ("onnxruntime", device, reason, inputs, outputs, session.get_modelmeta().custom_metadata_map)
    if bound is not None:
        return OnnxGraph(*described, bound.run, bound.empty_input, bound.close)

    image = next(iter(inputs), "")  # a graph without inputs is refused by whoever knows what it should take

    def run(names: Sequence[str], batch: NDArray[Any]) -> list[NDArray[np.float32]]:
        arrays = session.run(names, {image: batch})
        return cast("list[NDArray[np.float32]]", arrays)  # the stub allows for sparse outputs, which no network has

    return OnnxGraph(*described, run)


def open_session(path: Path, device: str, threads: int | None) -> OnnxGraph:
    """Open any ONNX file on the device asked for.

    Raises:
        LightDepthError: ONNX Runtime missing, a damaged file, a provider that isn't there, or no such GPU.
    """
    onnxruntime, reason = _import_onnxruntime(), "as asked for"
    if device == "auto":
        device, reason = choose_device()
    index = cuda_index(device)
    if index is None and device != "cpu":
        raise LightDepthError(f"An ONNX model runs on auto, cpu, cuda, cuda:N or openvino, not {device!r}.")
    provider = _CPU_PROVIDER if index is None else CUDA_PROVIDER
    if provider not in onnxruntime.get_available_providers():
        fix = "install the other build: pip uninstall -y onnxruntime && pip install onnxruntime-gpu"
        raise _provider_missing(device, "this onnxruntime was built without it", fix)
    if index is None:
        return graph_of(_open_session(path, provider, threads, {}), device, reason)
    # CUDA's libraries where pip put them, so that they are found without torch and LD_LIBRARY_PATH: ONNX Runtime 1.21
    # and later can. It prints what it doesn't find, which may still be found later or not be needed; if not, the
    # provider falls back and that is an error.
    if hasattr(onnxruntime, "preload_dlls"):
        with contextlib.redirect_stdout(io.StringIO()):
            onnxruntime.preload_dlls()
    return _open_on_gpu(path, device, index, threads, reason)


def _open_on_gpu(path: Path, device: str, index: int, threads: int | None, reason: str) -> OnnxGraph:
    """Open over bound buffers, with a CUDA graph, where both can be had; else say why not."""

    def open_checked(provider_options: Mapping[str, str]) -> onnxruntime.InferenceSession:
        session = _open_session(path, CUDA_PROVIDER, threads, provider_options)
        if session.get_providers()[0] != CUDA_PROVIDER:
            fix = "give it the CUDA libraries that it misses: pip install 'onnxruntime-gpu[cuda,cudnn]'"
            raise _provider_missing(device, f"it fell back to {session.get_providers()[0]}", fix)
        return session

    try:
        cudart = load_cudart()
    except LightDepthError:
        missing = "with more copies on the host than with cuda-bindings: pip install cuda-bindings"
    else:
        try:
            bound, without = open_cuda_session(open_checked, open_cuda(cudart, index), largest_batch=LARGEST_BATCH)
            return graph_of(bound.session, device, reason if without is None else f"{reason}, {without}", bound)
        except OpenShapeError as error:
            missing = f"without bound buffers and a CUDA graph, since {error}"
    return graph_of(open_checked({"device_id": str(index)}), device, f"{reason}, {missing}")


def choose_device() -> tuple[str, str]:
    """Return what "auto" means here, "cuda" or "cpu", and half a sentence why.

    Raises:
        LightDepthError: ONNX Runtime missing.
    """
    built_in = CUDA_PROVIDER in _import_onnxruntime().get_available_providers()
    if not has_nvidia_device():
        return "cpu", "since no NVIDIA GPU is here"
    if not built_in:
        return "cpu", "since this onnxruntime has no CUDA (onnxruntime-gpu has), though an NVIDIA GPU is here"
    return "cuda", "since an NVIDIA GPU is here"


def _import_onnxruntime() -> ModuleType:
    found = [name for name in _PACKAGES if _is_installed(name)]
    if len(found) > 1:  # they write the same files, so that neither is whole
        raise LightDepthError(
            f"{' and '.join(found)} are both installed and overwrite each other's files; remove them and install one: "
            f"pip uninstall -y {' '.join(found)} && pip install {found[0]} (or {found[1]}, which has CUDA)"
        )
    try:
        import onnxruntime
    except ImportError as error:
        raise LightDepthError(
            "ONNX Runtime is missing; install it with: pip install onnxruntime (or onnxruntime-gpu, which has CUDA; "
            "never both)"
        ) from error
    return onnxruntime


def _is_installed(package: str) -> bool:
    try:
        metadata.distribution(package)
    except metadata.PackageNotFoundError:
        return False
    return True


def _open_session(
    path: Path, provider: str, threads: int | None, provider_options: Mapping[str, str]
) -> onnxruntime.InferenceSession:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    # Errors only: fallbacks are checked by the caller. On a CPU not even those, since each is raised too.
    options.log_severity_level = 4 if provider == _CPU_PROVIDER else 3
    if threads is not None:
        options.intra_op_num_threads = threads
    if provider == CUDA_PROVIDER:
        # CUDA has no kernel for the 32-bit biases of INT8 files. This folds biases and weights into float constants;
        # else they are computed on the CPU at each frame, and nothing can be recorded.
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    providers = [(provider, dict(provider_options))]
    try:
        # Without ONNX Runtime's own fallback, which prints the reason, drops it, and opens the file on the CPU.
        return onnxruntime.InferenceSession(str(path), options, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises its own classes, which it doesn't export by name
        traceback.clear_frames(error.__traceback__)  # which keep half a session, and the caller frees its stream now
        if _TOO_NEW.search(str(error)) and (needed := onnx_versions(path)):
            raise _too_new(path, needed, onnxruntime.__version__, str(error)) from error
        reason = " ".join(_PREFIX.sub("", str(error)).split()).rstrip(".") or first_line(error)
        reason = reason if len(reason) <= _REASON else f"... {reason[-_REASON:]}"
        way = next((way for words, way in _WAYS_OUT if any(w in reason.lower() for w in words)), "export it again")
        raise LightDepthError(
            f"{path} can't be opened by ONNX Runtime {onnxruntime.__version__} ({reason}); {way}."
        ) from error


def _too_new(path: Path, needed: OnnxVersions, version: str, reason: str) -> LightDepthError:
    package = next((name for name in _PACKAGES if _is_installed(name)), _PACKAGES[0])
    limits = re.findall(r"(?:max supported IR version: |till (?=opset ))((?:opset )?\d+)", reason)
    reads = f", which reads up to {'IR version ' * limits[0].isdigit()}{limits[0]}" if limits else ""
    domain = _DOMAIN.search(reason)
    opsets = f"opset {needed.opset}" + (f", with opset {domain[1]} of {domain[2]}" if domain else "")
    return LightDepthError(
        f"{path} is of ONNX IR version {needed.ir} and {opsets}, newer than the installed {package} "
        f"{version}{reads}; update it with: pip install -U {package}"
    )


def _provider_missing(device: str, reason: str, fix: str) -> LightDepthError:
    return LightDepthError(
        f"ONNX Runtime can't use {device} here ({reason}); {fix} (docs/gpu.md), or choose --device cpu."
    )


def has_nvidia_device() -> bool:
    """Ask the driver's device files: `get_available_providers` lists CUDA on machines without a GPU too.

    CUDA_VISIBLE_DEVICES that begins with nothing or -1 hides every GPU, as it does from CUDA itself.
    """
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0].strip() in ("", "-1"):
        return False
    numbered = any(DEVICES.glob("nvidia[0-9]*"))  # a container may have any
    return numbered or any((DEVICES / name).exists() for name in ("nvhost-gpu", "dxg"))
