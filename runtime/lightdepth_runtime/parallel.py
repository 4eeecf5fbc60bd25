"""Work on many items in several processes or threads, with the results in the items' order."""

from __future__ import annotations

import os
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ThreadPoolExecutor
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from .errors import LightDepthError
from .processes import launcher_number

if TYPE_CHECKING:  # much to import for a program that starts no process
    from multiprocessing.context import BaseContext

__all__ = ["MAIN_GUARD", "Workers", "end_with_parent", "in_batches", "open_once", "worker_context", "worker_count"]

Item = TypeVar("Item")
Result = TypeVar("Result")

IN_FLIGHT = 4  # items a worker that are begun or wait: bounds the memory, whatever the number of items
LONGEST_END_S = 2.0
KEPT_BYTES, LARGEST_KEPT_BYTES = 1 << 28, 1 << 25  # of a worker's free memory; the second is glibc's limit
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
FEWEST_ITEMS = 32  # with fewer, starting processes takes longer than the work that they share
# A socket's path may have 108 bytes; multiprocessing puts `/pymp-xxxxxxxx/listener-xxxxxxxx` behind the folder.
LONGEST_TEMPORARY = 70
MAIN_GUARD = (
    'A program of your own must be a file that does its work under `if __name__ == "__main__":`, since workers import '
    "it."
)


def worker_count(asked: int | None, items: int, *, fewest: int = FEWEST_ITEMS) -> int:
    """Return how many processes share a number of items.

    It is what was asked for; without it the usable cores, divided among the processes that a launcher started on this
    machine, or 1 for fewer items than `fewest`, where starting processes would cost more.
    """
    from .bench.machine import usable_cores

    if asked is not None:
        return asked
    return max(1, usable_cores() // launcher_number("LOCAL_WORLD_SIZE")) if items >= fewest else 1


def in_batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    """Yield `size` items at a time, and what is left (`itertools.batched` needs Python 3.12)."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def worker_context(queues: int = 1, preload: Sequence[str] = ("__main__",)) -> BaseContext:
    """Return what starts worker processes, from a clean one where there is such; a fork of this one holds its locks.

    Args:
        queues: that will join this process with its workers.
        preload: modules that the clean process imports, in the background, for all workers.

    Raises:
        LightDepthError: no room for the locks that they share, or no folder for their sockets.
    """
    import multiprocessing

    _keep_socket_paths_short()
    has_server = "forkserver" in multiprocessing.get_all_start_methods()
    context = multiprocessing.get_context("forkserver" if has_server else "spawn")
    try:
        _probe = context.Event(), [context.Queue() for _ in range(queues)]
    except OSError as error:
        raise LightDepthError(
            f"Worker processes can't start ({error.strerror}): their locks need a writable /dev/shm with a little "
            "room. Make some (docker run --shm-size=2g, or --ipc=host), or do without workers: --workers 1, or in a "
            "training num_workers 0."
        ) from error
    if has_server:
        from multiprocessing import forkserver

        context.set_forkserver_preload(list(preload))
        # It and the workers leave a terminal's Ctrl-C to this process; else each would print a traceback.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            forkserver.ensure_running()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
    return context


def _keep_socket_paths_short() -> None:
    """Let multiprocessing put its sockets into /tmp where the temporary folder's path leaves no room for theirs."""
    if len(os.fsencode(tempfile.gettempdir())) <= LONGEST_TEMPORARY:
        return
    import multiprocessing.util

    chosen = tempfile.tempdir
    try:
        tempfile.tempdir = "/tmp"
        multiprocessing.util.get_temp_dir()  # made once a process, and handed on to the workers
    except OSError as error:
        raise LightDepthError(
            f"The temporary folder {chosen} has too long a path for sockets, and /tmp can't be written ({error}); set "
            "TMPDIR to a shorter one, or do without workers: --workers 1, or in a training num_workers 0."
        ) from error
    finally:
        tempfile.tempdir = chosen


@lru_cache(maxsize=1)
def open_once(open_it: Callable[..., Result], *arguments: Hashable) -> Result:
    """Return what `open_it` opens, in a worker that meets it again with each item; it must be hashable."""
    return open_it(*arguments)


class Workers:
    """Processes that share work, or threads; a context. Several maps may use them at the same time.

    Threads start at once and suit work that leaves Python free for others, like decoding; processes suit any. With
    a count of one or less, everything happens in this process. The results are the same for any number of workers. An
    interrupt, or leaving the context by any other exception, ends the workers at once; what was yielded before is
    complete.

    A script that asks for more than one worker keeps its own work under `if __name__ == "__main__":`, as Python's
    `multiprocessing` needs it.

    Raises:
        LightDepthError: no worker process can start here; see `worker_context`.
    """

    def __init__(self, count: int, *, threads: bool = False) -> None:
        self.count = count
        self._pool: Executor | None = None
        if count > 1 and threads:
            self._pool = ThreadPoolExecutor(count, "lightdepth-worker")
        elif count > 1:
            from concurrent.futures import ProcessPoolExecutor  # here, since it is much to import

            self._pool = ProcessPoolExecutor(count, worker_context(), initializer=_prepare_worker)

    def __enter__(self) -> Workers:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._pool is None:
            return
        processes = getattr(self._pool, "_processes", None) or {}  # no public way to end a call that is under way
        if kind is not None:
            ended = list(processes.values())
            for process in ended:
                process.terminate()
            for process in ended:
                process.join(LONGEST_END_S)  # else it might write into what its caller cleans up
        self._pool.shutdown(wait=kind is None or not processes, cancel_futures=True)

    def map(
        self, function: Callable[[Item], Result], items: Iterable[Item], *, name: Callable[[Item], str] = str
    ) -> Iterator[Result]:
        """Yield `function(item)` for each item, in the items' order.

        Args:
            function: a module-level function, or a `functools.partial` of one: it is sent to the workers.
            items: what it is called with, one at a time; read only a little ahead of what is yielded.
            name: how an item is called where its worker dies.

        Raises:
            LightDepthError: a worker was killed (for lack of memory, say), with the item that it worked on.
            Exception: whatever `function` raises, when its item's turn comes.
        """
        if self._pool is None:
            yield from map(function, items)
            return
        pending: deque[tuple[Item, Future[Result]]] = deque()
        remaining = iter(items)
        while True:
            while len(pending) < self.count * IN_FLIGHT and (item := next(remaining, pending)) is not pending:
                pending.append((item, self._submit(function, item)))  # pyright: ignore[reportArgumentType]
            if not pending:
                return
            item, future = pending.popleft()
            try:
                result = future.result()
            except BrokenExecutor as error:
                raise LightDepthError(
                    f"A worker process was killed at or just after {name(item)}, probably for lack of memory; run it "
                    f"again with fewer --workers (now {self.count}). {MAIN_GUARD}"
                ) from error
            yield result

    def _submit(self, function: Callable[[Item], Result], item: Item) -> Future[Result]:
        """Hand out an item; where a worker died meanwhile, its turn tells it."""
        assert self._pool is not None
        if isinstance(self._pool, ThreadPoolExecutor):
            return self._pool.submit(function, item)
        try:
            return self._pool.submit(_run, function, item)
        except BrokenExecutor as error:
            future: Future[Result] = Future()
            future.set_exception(error)
            return future


_is_at_work = False  # in a worker: whether it is inside an item's function


class _Ended(BaseException):
    """Ends a worker's function, so that it deletes what it has half written."""


def _prepare_worker() -> None:
    """Leave an interrupt to the process that hands out the work, and OpenCV in one thread: the workers are many."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end)
    end_with_parent()
    _keep_memory()
    from .images.opencv import import_cv2

    import_cv2().setNumThreads(1)


def _keep_memory() -> None:
    """Have glibc keep what a frame's arrays leave for the next frame's: giving it back costs a tenth of the time."""
    import ctypes

    if os.name == "posix" and hasattr(library := ctypes.CDLL(None), "mallopt"):  # glibc alone has it
        library.mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES)
        library.mallopt(_M_MMAP_THRESHOLD, LARGEST_KEPT_BYTES)


def end_with_parent() -> None:
    """End this worker when the process that started it is gone, even where that was killed and could say nothing.

    Workers keep the server alive that they were forked from, so waiting for the server's end would be for ever.
    """
    from multiprocessing import parent_process

    parent = parent_process()
    if parent is None:
        return

    def wait() -> None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _end(_signal: int, _frame: object) -> None:
    if not _is_at_work:
        os._exit(1)
    raise _Ended


def _run(function: Callable[[Item], Result], item: Item) -> Result:
    """Call a function in a worker, which ends where it is told to, after the function has cleaned up."""
    global _is_at_work
    _is_at_work = True
    try:
        return function(item)
    except _Ended:
        os._exit(1)
    finally:
        _is_at_work = False
