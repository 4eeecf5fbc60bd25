"""Work on many items in several processes, with the results in the items' order."""

from __future__ import annotations

import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import TypeVar

from .errors import LightDepthError

__all__ = ["ordered_map"]

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 4  # items a worker that are begun or wait: bounds the memory, whatever the number of items


def ordered_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    *,
    name: Callable[[Item], str] = str,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the items' order, computed in `workers` processes.

    With one worker everything happens in this process. The results are the same for any number of workers. An
    interrupt, or leaving the loop, ends the workers at once; what was yielded before is complete.

    A script that asks for more than one worker keeps its own work under `if __name__ == "__main__":`, as Python's
    `multiprocessing` needs it.

    Args:
        function: a module-level function, or a `functools.partial` of one: it is sent to the workers.
        items: what it is called with, one at a time; read only a little ahead of what is yielded.
        workers: how many processes; 1 starts none.
        name: how an item is called where its worker dies.

    Raises:
        LightDepthError: a worker was killed (for lack of memory, say), with the item that it worked on.
        Exception: whatever `function` raises, when its item's turn comes.
    """
    if workers <= 1:
        yield from map(function, items)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context(_start_method()), initializer=_prepare_worker)
    pending: deque[tuple[Item, Future[Result]]] = deque()
    remaining = iter(items)
    finished = False
    try:
        while True:
            while len(pending) < workers * IN_FLIGHT and (item := next(remaining, pending)) is not pending:
                pending.append((item, pool.submit(function, item)))  # pyright: ignore[reportArgumentType]
            if not pending:
                break
            item, future = pending.popleft()
            try:
                result = future.result()
            except BrokenProcessPool as error:
                raise LightDepthError(
                    f"A worker process was killed at or just after {name(item)}, probably for lack of memory; run it "
                    f"again with fewer worker processes (now {workers})."
                ) from error
            yield result
        finished = True
    finally:
        if not finished:
            for process in list((pool._processes or {}).values()):  # no public way to end a call that is under way
                process.terminate()
        pool.shutdown(wait=finished, cancel_futures=True)


def _start_method() -> str:
    """Return how workers start: from a clean process where there is one; a fork of this one would hold its locks."""
    return "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"


def _prepare_worker() -> None:
    """Leave an interrupt to the process that hands out the work, and OpenCV in one thread: the workers are many."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from .images.opencv import import_cv2

    import_cv2().setNumThreads(1)
