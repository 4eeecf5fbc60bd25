"""Join the processes that a launcher started: each works on its share, the main one puts the shares together.

`torchrun` starts them (or `accelerate launch`, or anything that sets RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT).
They are connected by PyTorch's gloo: each sends what it made of its share, or why it can't, and the main one answers
when all is done. A connection that closes before that tells at once who died.
"""

from __future__ import annotations

import atexit
import hashlib
import os
import pickle
import queue
import signal
import sys
import threading
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, redirect_stderr, redirect_stdout, suppress
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from lightdepth_runtime.errors import LightDepthError, first_line
from lightdepth_runtime.processes import Processes, launcher_number, share_bounds

__all__ = ["join_processes"]

Item = TypeVar("Item")
Part = TypeVar("Part")
STARTUP = timedelta(minutes=10)  # until all have come together: nodes don't start at the same time
FOREVER = timedelta(days=365)  # a share takes as long as it takes
NOTICE_S = 2.0  # from a launcher's signal to the closed connection that tells why it came
FAREWELL_S = 5.0
KILLED = "Something killed it, probably for lack of memory."
AGAIN = "Run the same command again; files that are whole are kept."
_PART, _FAULT, _END = range(3)  # what another process says to the main one
_DONE, _STOP = range(2)  # what the main one says


@contextmanager
def join_processes(device: str = "auto") -> Iterator[Processes]:
    """Join the processes that a launcher started, or work alone; a context around the whole work of a command.

    Every process but the main one ends at `merge`, or on leaving. Where several share a machine, the devices "auto" and
    "cuda" become one GPU for each.

    Raises:
        LightDepthError: what a launcher sets is there in part, or is nonsense; the processes don't come together; one
            of them fails, dies, or sees other data.
    """
    count = launcher_number("WORLD_SIZE")
    if count == 1:
        yield Processes()
        return
    missing = [name for name in ("RANK", "MASTER_ADDR", "MASTER_PORT") if not os.environ.get(name)]
    if missing:
        raise LightDepthError(
            f"WORLD_SIZE says {count} processes, but the launcher didn't set {', '.join(missing)}; start the command "
            "with torchrun, or unset WORLD_SIZE."
        )
    number = launcher_number("RANK", least=0, most=count - 1)
    launcher_number("MASTER_PORT", most=65535)  # else each waits ten minutes for the others
    if device in ("auto", "cuda"):
        _take_gpu()
    if number == 0:
        with _Main(number, count) as main:
            yield main
        return
    with (
        _Other(number, count) as other,
        Path(os.devnull).open("w") as nowhere,
        redirect_stdout(nowhere),
        redirect_stderr(nowhere),
    ):
        yield other  # in silence: the main process alone speaks


def _take_gpu() -> None:
    """Leave this process one of the machine's GPUs, before anything opens it."""
    import torch

    told = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = told.split(",") if told is not None else [str(index) for index in range(torch.cuda.device_count())]
    if len(gpus) > 1:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus[launcher_number("LOCAL_RANK", default=0, least=0) % len(gpus)]


class _Ended(BaseException):
    """Ends the work of the main thread, whatever it is at, so that nothing is left half written."""


class _Connected(Processes, AbstractContextManager["_Connected"]):
    """A process that is connected to others; a context around its work."""

    def __init__(self, number: int, count: int) -> None:
        import torch.distributed

        self.number, self.count = number, count
        self._shared = 0, "", ""  # length, kind and digest of the list that was shared last
        self._is_ending = False
        self._reason: str | None = None  # why the work was interrupted
        try:
            torch.distributed.init_process_group("gloo", rank=number, world_size=count, timeout=STARTUP)
            signal.signal(signal.SIGTERM, self._on_signal)  # not before: connecting can't be interrupted
            torch.distributed.barrier()  # no work before each of them can tell of another's death
        except (RuntimeError, ValueError) as error:
            raise LightDepthError(
                f"The {count} processes didn't come together ({first_line(error)}); start all of them, with "
                "the same MASTER_ADDR and a free MASTER_PORT."
            ) from error
        atexit.register(self._exit_at_once)
        others = range(1, count) if number == 0 else (0,)
        self._watchers = [threading.Thread(target=self._watch, args=(other,), daemon=True) for other in others]
        for watcher in self._watchers:
            watcher.start()

    def share(self, items: Sequence[Item], kind: str, *, name: Callable[[Item], str] = str) -> Sequence[Item]:
        """Return this process's items."""
        names = "\n".join(map(name, items)).encode(errors="surrogateescape")
        self._shared = len(items), kind, hashlib.sha256(names).hexdigest()
        start, end = share_bounds(len(items), self.number, self.count)
        return items[start:end]

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._is_ending = True
        if kind is _Ended:
            self._wait_for_reason()
        self._end(kind, error)

    @abstractmethod
    def _watch(self, other: int) -> None:
        """Take what another process says until it ends, in a thread of its own."""

    @abstractmethod
    def _end(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        """Tell the others how the work ended, and end as a command does."""

    def _on_signal(self, _signal: int, _frame: object) -> None:
        if not self._is_ending:
            self._is_ending = True
            raise _Ended

    def _interrupt(self, reason: str) -> None:
        """End the main thread's work; called in another thread."""
        if self._reason is None:
            self._reason = reason
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def _wait_for_reason(self) -> None:
        deadline = time.monotonic() + NOTICE_S
        while self._reason is None and time.monotonic() < deadline:
            time.sleep(0.01)

    def _exit_at_once(self) -> None:
        """Where another process died, end without gloo's clean-up, which waits seconds for it; called last of all."""
        if self._reason:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(1)

    def _leave(self) -> None:
        import torch.distributed

        deadline = time.monotonic() + FAREWELL_S
        for watcher in self._watchers:
            watcher.join(max(0.0, deadline - time.monotonic()))
        if not any(watcher.is_alive() for watcher in self._watchers):
            torch.distributed.destroy_process_group()


class _Main(_Connected):
    """The process that puts the shares together, prints and writes."""

    def __init__(self, number: int, count: int) -> None:
        # Any: what the others gave to `merge`
        self._parts: list[queue.SimpleQueue[Any]] = [queue.SimpleQueue() for _ in range(count)]
        super().__init__(number, count)

    def merge(self, part: Part) -> list[Part]:
        """Wait for the others' parts."""
        parts = [part]
        for other in range(1, self.count):
            shared, theirs = self._parts[other].get()
            if shared != self._shared:
                raise LightDepthError(
                    f"Process {other + 1} of {self.count} (rank {other}) sees {shared[0]} {shared[1]}, the main one "
                    f"{self._shared[0]}, or as many others; give all processes the same data."
                )
            parts.append(theirs)
        return parts

    def _end(self, kind: type[BaseException] | None, error: BaseException | None) -> None:  # noqa: ARG002
        for other in range(1, self.count):
            with suppress(RuntimeError):  # it is gone
                _send(other, _STOP if kind else _DONE)
        self._leave()
        if kind is _Ended:
            raise LightDepthError(self._reason or "The launcher ended the command (SIGTERM).") from None

    def _watch(self, other: int) -> None:
        try:
            while True:
                kind, content = _receive(other)
                if kind == _END:
                    return
                if kind == _FAULT:
                    self._interrupt(content)
                else:
                    self._parts[other].put(content)
        except RuntimeError:
            self._interrupt(self._describe_death(other))

    def _describe_death(self, other: int) -> str:
        length, kind, _ = self._shared
        start, end = share_bounds(length, other, self.count)
        share = f"{kind} {start + 1} to {end} of {length}" if end > start else "nothing yet"
        return f"Process {other + 1} of {self.count} (rank {other}) died. Its share was {share}. {KILLED} {AGAIN}"


class _Other(_Connected):
    """A process that works on its share, silently."""

    def merge(self, part: Part) -> list[Part]:
        """Send the part, wait until the main process is done, and end."""
        _send(0, _PART, (self._shared, part))
        self._watchers[0].join()
        if self._reason is not None:
            raise _Ended
        raise SystemExit(0)

    def _end(self, kind: type[BaseException] | None, error: BaseException | None) -> None:
        with suppress(RuntimeError):  # the main process is gone
            if isinstance(error, KeyboardInterrupt):
                self._wait_for_reason()  # that the main one was interrupted too
            if error is not None and kind is not SystemExit and self._reason is None:
                _send(0, _FAULT, self._describe_fault(error))
                self._watchers[0].join(FAREWELL_S)  # the main process prints it before a launcher ends all
            _send(0, _END)
        self._leave()
        if self._reason and (self.number == 1 or os.environ.get("LOCAL_RANK") == "0"):
            print(f"Error: {self._reason}", file=sys.stderr)
        raise SystemExit(1 if kind not in (None, SystemExit) else 0)

    def _describe_fault(self, error: BaseException) -> str:
        if isinstance(error, LightDepthError):
            return str(error)
        me = f"process {self.number + 1} of {self.count} (rank {self.number})"
        if not isinstance(error, Exception):  # SIGTERM or SIGINT, for this process alone
            return f"Something ended {me}. {AGAIN}"
        return f"unexpected {error!r} in {me}; run it without a launcher and with --debug to see where, and report it."

    def _watch(self, other: int) -> None:
        try:
            kind, _ = _receive(other)
        except RuntimeError:
            self._interrupt(f"The main process of {self.count} (rank 0) died. {KILLED} {AGAIN}")
            return
        if kind == _STOP:
            self._interrupt("")


def _send(other: int, kind: int, content: object = None) -> None:
    """Send a message.

    Raises:
        RuntimeError: the other process is gone.
    """
    import torch.distributed

    message = torch.frombuffer(bytearray(pickle.dumps((kind, content))), dtype=torch.uint8)
    torch.distributed.send(torch.tensor([len(message)]), other)
    torch.distributed.send(message, other)


def _receive(other: int) -> tuple[int, Any]:  # Any: what was sent
    """Wait for a message, as long as it takes; errors are those of `_send`."""
    import torch.distributed

    def receive(size: int, dtype: torch.dtype) -> torch.Tensor:
        tensor = torch.empty(size, dtype=dtype)
        work = torch.distributed.irecv(tensor, other)
        assert work is not None, "this process is one of the group"
        work.wait(FOREVER)
        return tensor

    size = int(receive(1, torch.int64))
    return pickle.loads(receive(size, torch.uint8).numpy().tobytes())
