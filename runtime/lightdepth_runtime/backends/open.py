"""Choose the backend that an artifact's file needs."""

from pathlib import Path
from typing import cast

from ..errors import LightDepthError
from .backend import Backend
from .onnx.backend import open_onnx

__all__ = ["ENTRY_POINT_GROUP", "open_backend"]

# Other distributions add file types: an entry point named after the suffix, a function (path, device, threads) ->
# Backend. `lightdepth` registers "safetensors" this way, so that the runtime opens checkpoints without knowing torch.
ENTRY_POINT_GROUP = "lightdepth_runtime.backends"


def open_backend(path: Path, device: str = "auto", threads: int | None = None) -> Backend:
    """Open a model file.

    Args:
        path: `.onnx`, `.engine`, or a type that an installed distribution registers (`.safetensors` with `lightdepth`).
        device: "auto", "cpu", "cuda", "cuda:N", "openvino" (ONNX on the CPU), or "tensorrt", which opens the engine
            beside an ONNX file; a `torch.device` will do. "auto" is CUDA where a GPU answers, else the CPU;
            `device_reason` of the backend says why.
        threads: of the CPU; None leaves it to the backend.

    Raises:
        LightDepthError: no such file, unknown type, or the backend can't run it as asked.
    """
    if not path.is_file():
        raise LightDepthError(f"No model at {path}.")
    suffix, device = path.suffix.removeprefix(".").lower(), str(device)
    if suffix == "engine" or device == "tensorrt":
        from .tensorrt.backend import open_engine  # here, since half the import time of the runtime would be theirs

        return open_engine(path, device, threads)
    if suffix == "onnx" or device == "openvino":
        return open_onnx(path, device, threads)
    from importlib.metadata import entry_points

    for entry in entry_points(group=ENTRY_POINT_GROUP, name=suffix):
        return cast(Backend, entry.load()(path, device, threads))
    hint = (
        " Install lightdepth to open checkpoints, or export the model to ONNX."
        if suffix == "safetensors"
        else " A model is a .onnx, .engine or .safetensors file."
    )
    raise LightDepthError(f"No installed backend opens {path.name!r}.{hint}")
