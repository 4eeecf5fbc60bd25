"""TensorRT and TensorRT-RTX: one API under two module names, and one logger each that can be listened to."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from ...errors import LightDepthError

__all__ = ["FLAVOUR_NAMES", "Flavour", "LogLines", "choose_flavour", "collect_log", "flavour_of", "load_tensorrt"]

Flavour = Literal["tensorrt", "tensorrt_rtx"]

FLAVOUR_NAMES: dict[Flavour, str] = {"tensorrt": "TensorRT", "tensorrt_rtx": "TensorRT-RTX"}

_INSTALL = {
    "tensorrt": "on a Jetson it comes with JetPack (apt install python3-libnvinfer); elsewhere: pip install tensorrt",
    "tensorrt_rtx": "install it with: pip install tensorrt-rtx",
}
_ERROR, _WARNING = 1, 2  # ILogger.Severity: INTERNAL_ERROR 0, ERROR 1, WARNING 2, INFO 3, VERBOSE 4
_LAYER_MARK = "LayerType: "  # what a builder's verbose line about a planned layer contains; other verbose lines go


def load_tensorrt(flavour: Flavour = "tensorrt") -> Any:  # Any: NVIDIA ships no types
    """Import TensorRT or TensorRT-RTX.

    Raises:
        LightDepthError: unknown flavour, or not installed here.
    """
    if flavour not in get_args(Flavour):
        raise LightDepthError(f"No TensorRT flavour {flavour!r}; choose {' or '.join(get_args(Flavour))}.")
    try:
        return importlib.import_module(flavour)
    except (ImportError, OSError) as error:  # OSError: the bindings are there, a library isn't
        name = FLAVOUR_NAMES[flavour]
        raise LightDepthError(f"{name} can't be imported ({error}); {_INSTALL[flavour]}.") from error


def choose_flavour() -> Flavour:
    """Return TensorRT where it can be imported, else TensorRT-RTX where that can, else TensorRT."""
    for flavour in get_args(Flavour):
        with suppress(LightDepthError):
            load_tensorrt(flavour)
            return flavour
    return "tensorrt"


def flavour_of(trt: Any) -> Flavour:  # Any: NVIDIA ships no types
    """Tell which of the two a module is."""
    return "tensorrt_rtx" if "tensorrt_rtx" in trt.__name__ else "tensorrt"


@dataclass
class LogLines:
    """What TensorRT said while `collect_log` listened."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    layers: list[str] = field(default_factory=list)

    def add(self, severity: int, message: str) -> None:
        """Keep errors, warnings and lines about layers."""
        if severity <= _ERROR:
            self.errors.append(message.strip())
        elif severity == _WARNING:
            self.warnings.append(message.strip())
        elif _LAYER_MARK in message:
            self.layers.extend(line.strip() for line in message.splitlines() if _LAYER_MARK in line)

    def reason(self) -> str:
        """Return the errors as one text, for the middle of a sentence."""
        return " | ".join(dict.fromkeys(self.errors)) or "TensorRT gave no reason"


@contextmanager
def collect_log(trt: Any) -> Generator[tuple[Any, LogLines], None, None]:  # Any: NVIDIA ships no types
    """Yield the process's logger for this module, and what it hears until the block ends."""
    logger, listeners = _logger(trt)
    lines = LogLines()
    listeners.append(lines)
    try:
        yield logger, lines
    finally:
        listeners[:] = [other for other in listeners if other is not lines]


@functools.cache
def _logger(trt: Any) -> tuple[Any, list[LogLines]]:  # Any: NVIDIA ships no types
    """Return the one logger of a module.

    TensorRT keeps the first logger that it is given for the whole process and ignores later ones, so this one is made
    once and never freed.
    """
    listeners: list[LogLines] = []

    class Logger(trt.ILogger):
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Any, msg: str) -> None:  # Any: ILogger.Severity
            for lines in tuple(listeners):
                lines.add(int(severity), msg)

    return Logger(), listeners
