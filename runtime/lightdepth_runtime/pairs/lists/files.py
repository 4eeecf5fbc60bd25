"""The files that a list names: found as Linux, Windows and BTS write paths, or named where they are missing."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...errors import LightDepthError
from ...spec import Intrinsics
from ..depth_unit import DepthUnit
from ..file_pair import FilePair
from .rows import Row

__all__ = ["Told", "check_files", "find_file", "find_pairs"]


LONGEST_NAME = 300  # of a missing file, in an error


@dataclass(frozen=True)
class Told:
    """What a list says of a row's pair beside its files."""

    unit: DepthUnit | None = None
    camera: Intrinsics | None = None


def find_pairs(
    rows: Iterable[Row], folder: Path, listing: Path, told: Sequence[Told], *, missing_ok: bool = False
) -> list[FilePair]:
    """Return the pairs of a list's rows, whose paths are relative to `folder` or absolute; the scene is the folder.

    Backslashes may stand for slashes. A leading slash may stand for the folder itself, as in BTS's lists. `told` is
    what is known at each line (`comments.read_comments`).

    Raises:
        LightDepthError: files are missing, and `missing_ok` is not set: the first is named, the rest counted; or what
            is known changes below the last row.
    """
    pairs, missing, base, known = [], [], str(folder), Told()
    for row in rows:
        color, depth = find_file(row.color, base), find_file(row.depth, base)
        missing += [folder / word for word, found in ((row.color, color), (row.depth, depth)) if found is None]
        name, known = color or _spellings(row.color)[0], told[row.line - 1]
        color_file, depth_file = os.path.join(base, name), os.path.join(base, depth or _spellings(row.depth)[0])
        pairs.append(FilePair(name, _scene(os.path.dirname(name)), color_file, depth_file, known.unit, known.camera))
    if missing and not missing_ok:
        raise _missing(missing, 2 * len(pairs), folder, listing)
    if known != told[-1]:
        raise LightDepthError(
            f"{listing}: a comment that tells camera or unit stands below the last pair, and tells nothing there; put "
            "it above the pairs that it belongs to."
        )
    return pairs


def check_files(pairs: Sequence[FilePair], folder: Path) -> None:
    """Refuse pairs whose files are missing; the first is named, the rest counted.

    Raises:
        LightDepthError: files are missing.
    """
    missing = [path for pair in pairs for path in (pair.color_path, pair.depth_path) if not os.path.isfile(path)]
    if missing:
        raise _missing(missing, 2 * len(pairs), folder, folder)


def find_file(written: str, folder: str) -> str | None:
    """Return what a word stands for; by `os`, since a million of paths as `Path` take a minute."""
    if os.path.isfile(os.path.join(folder, written)):
        return written
    return next((word for word in _spellings(written)[1:] if os.path.isfile(os.path.join(folder, word))), None)


def _spellings(written: str) -> list[str]:
    """Return what a path in a list may mean, as it is written first."""
    slashed = written.replace("\\", "/")
    # A letter with its accent may be one character or two: lists of a Mac have two.
    composed = (unicodedata.normalize(form, slashed) for form in ("NFC", "NFD"))
    return list(dict.fromkeys((written, slashed, slashed.lstrip("/"), *composed)))


@lru_cache(maxsize=1024)
def _scene(folder: str) -> str:
    """Return a folder's name as a scene's; pairs share the text."""
    return str(Path(folder))


def _missing(missing: Sequence[Path], files: int, folder: Path, listing: Path) -> LightDepthError:
    first = missing[0]
    more = f" (and {len(missing) - 1} more of {files} files)" if len(missing) > 1 else ""
    fault = "is a folder" if os.path.isdir(first) else "doesn't exist"
    return LightDepthError(
        f"{listing} names {_excerpt(first)}, which {fault}{more}. Paths are relative to {folder.absolute()}. "
        f"{_hint(first, folder)}"
    )


def _hint(missing: Path, folder: Path) -> str:
    """Say what to do about a file that is missing."""
    if os.path.relpath(missing, folder)[:1] in ("[", "{", "("):
        return "Is the list JSON or Python? A pair list has two plain paths a line."
    with suppress(OSError, ValueError):  # a word that can be no file's name
        while not missing.parent.is_dir():
            missing = missing.parent
        others = (path.name for path in missing.parent.iterdir() if path.name != missing.name)
        similar = next((name for name in others if name.lower() == missing.name.lower()), None)
        if similar:
            return f"There is {similar}: capital letters count."
    return "Restore the files or remove their rows."


def _excerpt(path: Path) -> str:
    """Return a path as it is, but for what no terminal should get: zero bytes, thousands of letters."""
    text = str(path)
    return text if text.isprintable() and len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]!r}..."
