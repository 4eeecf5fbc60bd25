"""What became of many frames, in the same memory for ten as for ten million: a camera's stream has no end."""

from collections.abc import Iterable
from pathlib import Path

from ..errors import LightDepthError

__all__ = ["Outcome"]

MOST_PATHS = 1000
MOST_NAMED = 3  # failures named in the last sentence; each was reported when it happened


class Outcome:
    """Counts of the frames that came, the files written and the failures, with the first of each.

    `paths` are the first thousand files.
    """

    def __init__(self) -> None:
        self.frames = self.files = self.failures = 0
        self.paths: list[Path] = []
        self._first: LightDepthError | None = None  # an error keeps its frame's image alive: one, not each
        self._names: list[str] = []

    def wrote(self, paths: Iterable[Path], files: int | None = None) -> None:
        """Count files; `files` where there were more than are named."""
        paths = list(paths)
        self.files += len(paths) if files is None else files
        self.paths += paths[: MOST_PATHS - len(self.paths)]

    def left_out(self, name: str, error: LightDepthError) -> None:
        """Count a frame that gave no depth."""
        self.failures += 1
        self._first = self._first or error
        if len(self._names) < MOST_NAMED:
            self._names.append(name)

    def check(self, noun: str, place: str = "written") -> None:
        """Pass if no frame failed.

        Raises:
            LightDepthError: of a single frame its own error, else how many failed and which of them first; `noun` says
                what they are, `place` where the depth of the others is.
        """
        if self._first is None:
            return
        if self.frames == 1:
            raise self._first
        more = f" and {self.failures - len(self._names)} more" if self.failures > len(self._names) else ""
        rest = f"the depth of the others is {place}" if self.failures < self.frames else "nothing was written"
        raise LightDepthError(
            f"{self.failures} of {self.frames} {noun} failed ({', '.join(self._names)}{more}); {rest}."
        )
