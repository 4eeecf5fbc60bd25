"""TensorRT's progress of a build as a plain callback, and a bar that shows it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

__all__ = ["BuildProgress", "make_monitor", "show_progress"]

BuildProgress = Callable[[str, int, int], None]  # (phase, steps done, steps of the phase)
LINE_INTERVAL_S = 10.0


def make_monitor(trt: Any, progress: BuildProgress) -> tuple[Any, list[BaseException]]:  # Any: NVIDIA ships no types
    """Return an IProgressMonitor that calls `progress`, and the list in which it keeps an error of that call.

    An error can't pass through TensorRT, so it stops the build; the caller raises it afterwards. Ctrl-C is one of them.
    """
    errors: list[BaseException] = []
    totals: dict[str, int] = {}

    def tell(phase: str, done: int) -> bool:
        try:
            progress(phase, done, totals.get(phase, done))
        except BaseException as error:
            errors.append(error)
        return not errors

    class Monitor(trt.IProgressMonitor):
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase_name: str, parent_phase: str | None, num_steps: int) -> None:  # noqa: ARG002
            totals[phase_name] = num_steps
            tell(phase_name, 0)

        def step_complete(self, phase_name: str, step: int) -> bool:
            return tell(phase_name, step + 1)  # False asks TensorRT to stop

        def phase_finish(self, phase_name: str) -> None:
            tell(phase_name, totals.pop(phase_name, 0))

    return Monitor(), errors


@contextmanager
def show_progress() -> Iterator[BuildProgress]:
    """Yield a callback that shows a bar for each phase on a terminal, and a line now and then elsewhere."""
    if not sys.stderr.isatty() or find_spec("rich") is None:  # a target may have TensorRT and little else
        yield _lines()
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, Any] = {}  # Any: rich's TaskID

        def update(phase: str, done: int, total: int) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(phase, total=total)
            bars.update(tasks[phase], completed=done, total=total)

        yield update


def _lines() -> BuildProgress:
    last = time.monotonic()

    def update(phase: str, done: int, total: int) -> None:
        nonlocal last
        if time.monotonic() - last >= LINE_INTERVAL_S:
            print(f"{phase}: {done}/{total}", file=sys.stderr)
            last = time.monotonic()

    return update
