"""OpenVINO on the CPU: often the fastest backend of x86 processors."""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import SPEC_KEY
from .baseline import BASELINE_KEY
from .onnx.session import OnnxGraph

__all__ = ["open_openvino", "signal_stack_kept"]


def open_openvino(path: Path, threads: int | None = None) -> OnnxGraph:
    """Open any ONNX file in FP32, tuned for the latency of single frames.

    Raises:
        LightDepthError: OpenVINO missing, not an ONNX file, or a damaged one.
    """
    if path.suffix.lower() != ".onnx":
        raise LightDepthError(f"OpenVINO opens .onnx files, not {path.name!r}; export the model first.")
    try:
        core = importlib.import_module("openvino").Core()
    except ImportError as error:
        raise LightDepthError("OpenVINO is missing; install it with: pip install openvino") from error
    try:
        model = core.read_model(str(path))
    except RuntimeError as error:
        raise LightDepthError(
            f"{path} can't be opened by OpenVINO: it is damaged, no ONNX file, or has an operator that this version "
            "doesn't know; export it again."
        ) from error
    config: dict[str, Any] = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else newer processors would quietly run in bf16
    }
    if threads is not None:
        config["INFERENCE_NUM_THREADS"] = threads
    with signal_stack_kept():
        compiled = core.compile_model(model, "CPU", config)

    def run(names: Sequence[str], batch: NDArray[Any]) -> list[NDArray[np.float32]]:
        outputs = compiled(batch)  # OpenVINO copies them out of its own memory
        return [outputs[name] for name in names]

    places = {key: ["framework", key] for key in (SPEC_KEY, BASELINE_KEY)}  # where its ONNX reader keeps metadata_props
    return OnnxGraph(
        library="openvino",
        device="cpu",
        reason="as asked for",
        inputs={
            tensor.any_name: [size.get_length() if size.is_static else "open" for size in tensor.partial_shape]
            for tensor in model.inputs
        },
        outputs=[tensor.any_name for tensor in model.outputs],
        metadata={k: model.get_rt_info(place).astype(str) for k, place in places.items() if model.has_rt_info(place)},
        run=run,
    )


class _Stack(ctypes.Structure):
    """`stack_t` of Linux, see sigaltstack(2)."""

    _fields_ = (("address", ctypes.c_void_p), ("flags", ctypes.c_int), ("size_bytes", ctypes.c_size_t))


@contextmanager
def signal_stack_kept() -> Generator[None, None, None]:
    """Put this thread's alternate signal stack back as it was; does nothing where the system isn't Linux.

    OpenVINO's CPU plugin installs one for each model that it loads and frees it with the model. When two models are
    closed out of order, a freed stack stays installed, and the next Ctrl-C kills the process (SIGSEGV), since Python
    handles signals on it.
    """
    if not sys.platform.startswith("linux"):
        yield
        return
    before = _Stack()
    sigaltstack = ctypes.CDLL(None).sigaltstack
    sigaltstack(None, ctypes.byref(before))
    try:
        yield
    finally:
        sigaltstack(ctypes.byref(before), None)
