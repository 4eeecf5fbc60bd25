"""OpenCV, imported when it is first needed, and kept from writing log lines where an error of ours says the same."""

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager
from functools import lru_cache
from types import ModuleType
from typing import Any

from ..errors import LightDepthError

__all__ = ["import_cv2", "quiet_cv2", "quiet_stderr"]

_SILENT = 0


@lru_cache(maxsize=1)
def import_cv2() -> ModuleType:
    """Import OpenCV, or say how to install it."""
    try:
        import cv2
    except ImportError as error:
        raise LightDepthError("OpenCV is missing; install it with: pip install opencv-python-headless") from error
    return cv2


class _Silence:
    """Counts who wants silence: OpenCV's level is one for the process, and the last to leave gives it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = 0
        self._level: Any = None  # Any: an int in OpenCV 4, an enumeration in 5

    def begin(self) -> None:
        with self._lock:
            if self._wanted == 0:
                self._level = _logging().getLogLevel()
                _logging().setLogLevel(_SILENT)
            self._wanted += 1

    def end(self) -> None:
        with self._lock:
            self._wanted -= 1
            if self._wanted == 0:
                _logging().setLogLevel(self._level)


_silence = _Silence()
_stderr_lock = threading.Lock()


@contextmanager
def quiet_cv2() -> Generator[None, None, None]:
    """Silence OpenCV's logging in this block and restore its level after it; blocks of several threads may overlap."""
    _silence.begin()
    try:
        yield
    finally:
        _silence.end()


@contextmanager
def quiet_stderr() -> Generator[None, None, None]:
    """Keep what C libraries write to standard error in this block away from the user; libjpeg has no other switch.

    The file descriptor is one for the process: what other threads write to it meanwhile is lost. For rare, short work.
    """
    with _stderr_lock:
        try:
            kept = os.dup(2)
        except OSError:  # closed, as in some services
            yield
            return
        try:
            with open(os.devnull, "wb") as nothing:  # noqa: PTH123  a device, whose descriptor is needed
                os.dup2(nothing.fileno(), 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _logging() -> Any:  # Any: a module without types
    cv2 = import_cv2()
    return cv2 if hasattr(cv2, "setLogLevel") else cv2.utils.logging  # OpenCV 4 and 5
