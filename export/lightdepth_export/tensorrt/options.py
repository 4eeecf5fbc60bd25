"""What can be chosen about an engine, checked before TensorRT sees it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime.errors import LightDepthError

__all__ = ["BatchRange", "BuildOptions", "compute_capability_names"]

_ELSEWHERE = {  # GPUs of robots and servers that TensorRT-RTX leaves to TensorRT
    "sm87": "Jetson Orin",
    "sm90": "H100",
    "sm100": "B200",
    "sm101": "Jetson Thor",
    "sm103": "B300",
    "sm110": "Jetson Thor",
}


@dataclass(frozen=True)
class BatchRange:
    """Smallest, usual and largest batch of an engine whose ONNX file leaves the batch open."""

    minimum: int = 1
    usual: int = 1
    maximum: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.minimum <= self.usual <= self.maximum:
            raise LightDepthError(
                f"A batch range needs 1 <= MIN <= OPT <= MAX, got {self.minimum},{self.usual},{self.maximum}."
            )


@dataclass(frozen=True)
class BuildOptions:
    """How to build.

    `workspace_bytes` limits the scratch memory that a layer may use; None leaves it to TensorRT. `timing_cache` is a
    file that makes the next build on the same GPU faster (TensorRT alone). `compute_capabilities` like ("sm86", "sm89")
    are for TensorRT-RTX, which needs no GPU to build; none means Ampere and later. `tf32` lets FP32 convolutions round
    their inputs to 10 bits.
    """

    batch: BatchRange | None = None
    workspace_bytes: int | None = None
    timing_cache: Path | None = None
    compute_capabilities: tuple[str, ...] = ()
    tf32: bool = False

    def __post_init__(self) -> None:
        if self.workspace_bytes is not None and self.workspace_bytes <= 0:
            raise LightDepthError(f"The workspace limit must be positive, got {self.workspace_bytes} bytes.")


def compute_capability_names(trt: Any, wanted: tuple[str, ...]) -> tuple[str, ...]:  # Any: NVIDIA ships no types
    """Turn "sm86", "86" or "8.6" into TensorRT-RTX's names, without repeats.

    Raises:
        LightDepthError: not TensorRT-RTX, no such form, or a GPU that it doesn't build for.
    """
    if not wanted:
        return ()
    if not hasattr(trt, "ComputeCapability"):
        raise LightDepthError(
            "TensorRT builds for the GPU that it runs on; building for a named GPU needs TensorRT-RTX: "
            "pip install tensorrt-rtx"
        )
    known = sorted((n for n in dir(trt.ComputeCapability) if re.fullmatch(r"SM\d+", n)), key=lambda n: int(n[2:]))
    names = []
    for text in wanted:
        digits = re.fullmatch(r"(?:sm_?)?(\d+)\.?(\d)", text.strip().lower())
        name = f"sm{digits[1]}{digits[2]}" if digits else ""
        if name.upper() not in known:
            whose = f" ({_ELSEWHERE[name]})" if name in _ELSEWHERE else ""
            raise LightDepthError(
                f"TensorRT-RTX doesn't build for {text!r}{whose}, only for {', '.join(known).lower()}; for other GPUs "
                "run on the target, with TensorRT: python -m lightdepth_export.engine MODEL.onnx"
            )
        names.append(name)
    return tuple(dict.fromkeys(names))
