"""Keep a library from changing the stack on which this thread handles signals."""

import ctypes
import sys
from collections.abc import Generator
from contextlib import contextmanager

__all__ = ["signal_stack_kept"]


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
