"""One thing noticed about a data set."""

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding", "Level"]

FILES_SHOWN = 5

Level = Literal["error", "warning", "note"]


@dataclass(frozen=True)
class Finding:
    """One thing that was noticed: an error stops training, a warning wants a look, a note tells."""

    level: Level
    check: str
    message: str
    files: tuple[str, ...] = ()

    def line(self) -> str:
        """Say it in one line, with the first files."""
        shown = ", ".join(self.files[:FILES_SHOWN])
        more = f" and {len(self.files) - FILES_SHOWN} more" if len(self.files) > FILES_SHOWN else ""
        return f"{self.level}: {self.message}" + (f": {shown}{more}" if shown else "")
