"""The options part of `gpu_check.py`: how ONNX Runtime's own choices for convolutions change the latency on CUDA."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

import onnx

from lightdepth_export.onnx.metadata import spec_of
from lightdepth_runtime.backends.backend import staged
from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.backends.onnx.cuda_session import CudaSession, open_cuda_session
from lightdepth_runtime.bench.run import read_frame
from lightdepth_runtime.bench.timing import Schedule, time_interleaved
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import preprocess

__all__ = ["time_options"]

OPTIONS: dict[str, dict[str, str]] = {
    "as it is": {},
    "NHWC": {"prefer_nhwc": "1"},
    "fused bias": {"fuse_conv_bias": "1"},
    "NHWC, fused bias": {"prefer_nhwc": "1", "fuse_conv_bias": "1"},
}


def time_options(files: Path) -> dict[str, dict[str, Any]]:  # Any: JSON values
    """Time each network with each choice, recorded as the runtime records it; the runtime leaves them as they are."""
    cuda, frame = open_cuda(), read_frame(None)[0]
    rows: dict[str, dict[str, Any]] = {}
    for name in ("lite0.onnx", "lite0.fp16.onnx", "resnet18.fp16.onnx"):
        path = files / name
        sessions: dict[str, CudaSession] = {}
        for label, chosen in OPTIONS.items():
            opener = partial(_open, path, chosen)
            try:
                sessions[label], reason = open_cuda_session(opener, cuda, largest_batch=1)
                rows[f"{name}, {label}"] = {"without_graph": reason} if reason else {}
            except LightDepthError as error:
                rows[f"{name}, {label}"] = {"refused": str(error)[:300]}
        spec = spec_of(onnx.load_model(path))
        batch = preprocess(frame, spec)[None]
        # Any: a session is no Backend, but has its staging memory
        calls = [partial(s.run, [spec.output_name], staged(cast(Any, s), batch)) for s in sessions.values()]
        for label, timed in zip(sessions, time_interleaved(calls, Schedule(rounds=10, turn_ms=60)), strict=True):
            rows[f"{name}, {label}"]["latency_ms_p50"] = timed.percentile_ms(50)
        for session in sessions.values():
            session.close()
    return rows


def _open(path: Path, chosen: Mapping[str, str], provider_options: Mapping[str, str]) -> Any:  # an InferenceSession
    import onnxruntime

    onnxruntime.preload_dlls()
    providers = [("CUDAExecutionProvider", {**provider_options, **chosen})]
    try:
        session = onnxruntime.InferenceSession(str(path), None, providers=providers, enable_fallback=0)
    except Exception as error:  # onnxruntime raises its own classes, which it doesn't export by name
        raise LightDepthError(str(error).splitlines()[0]) from error
    if session.get_providers()[0] != "CUDAExecutionProvider":
        raise LightDepthError("ONNX Runtime fell back to the CPU")
    return session
