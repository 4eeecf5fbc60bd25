"""What a sink is: it takes frames with their depth and writes something of each, or one thing of all."""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from ..floor import CameraMount
from ..frames.frame import DepthFrame
from ..sigma import MAX_SIGMA
from .colorize import Colormap, DepthRange

__all__ = ["FrameSink", "SpanSink", "Style"]

Output = TypeVar("Output")


@dataclass(frozen=True)
class Style:
    """How depth is drawn in pictures and videos, and what of it becomes points and recordings."""

    colormap: Colormap = "plasma"
    limits: DepthRange | None = None  # the model's; a picture's own range stays inside
    scale: DepthRange | None = None  # one range for all pictures instead of each one's own
    mount: CameraMount | None = None  # the camera over the floor: obstacles are drawn and written where it is known
    max_sigma: float = MAX_SIGMA  # points, and depth of recordings, of a larger sigma are left out


class FrameSink(ABC):
    """Where depth of a stream goes."""

    wants_sigma: bool = False  # sigma costs resizing one more array: frames come without it where no sink wants it

    @abstractmethod
    def write(self, done: DepthFrame) -> list[Path]:
        """Take one frame; return the files that are complete by it."""

    def close(self) -> list[Path]:
        """Finish what spans all frames, under its final name; return those files. Nothing appears without frames."""
        return []

    def abort(self) -> None:  # noqa: B027  what is whole with each frame leaves nothing unfinished
        """Drop what is unfinished and leave no part of it behind; after `close` it does nothing."""


class SpanSink(FrameSink, Generic[Output]):
    """Writes one output of all frames: the first opens it, `close` gives it its name, `abort` leaves no part of it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._output: Output | None = None
        self._contexts = ExitStack()  # that the output needs open, like `atomic_path`; the last one in ends first

    @abstractmethod
    def _open(self, first: DepthFrame, /) -> Output:
        """Open what takes the frames, in `_contexts`."""

    @abstractmethod
    def _add(self, output: Output, done: DepthFrame) -> None:
        """Write one frame to it."""

    def write(self, done: DepthFrame) -> list[Path]:
        """Add one frame; nothing is complete before `close`."""
        if self._output is None:
            self._output = self._open(done)
        self._add(self._output, done)
        return []

    def close(self) -> list[Path]:
        """Finish the output and give it its name."""
        if self._output is None:
            return []
        self._output = None
        self._contexts.close()
        return [self._path]

    def abort(self) -> None:
        """End the contexts by an exception, the sign for them to delete what they wrote."""
        self._output = None
        self._contexts.pop_all().__exit__(_DroppedError, _DroppedError(), None)


class _DroppedError(Exception):
    """Ends the contexts of what is given up."""
