"""The files that a list names: found as Linux, Windows and BTS write paths, or named where they are missing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ...errors import LightDepthError
from ...spec import Intrinsics
from ..depth_unit import DepthUnit
from ..file_pair import FilePair
from .rows import Row

__all__ = ["Told", "check_files", "exists", "find_pairs", "spellings"]


@dataclass(frozen=True)
class Told:
    """What a list says of a row's pair beside its files."""

    unit: DepthUnit | None = None
    camera: Intrinsics | None = None


def find_pairs(
    rows: Iterable[Row], folder: Path, listing: Path, told: Callable[[Row], Told], *, missing_ok: bool = False
) -> list[FilePair]:
    """Return the pairs of a list's rows, whose paths are relative to `folder` or absolute; the scene is the folder.

    Backslashes may stand for slashes. A leading slash may stand for the folder itself, as in BTS's lists.

    Raises:
        LightDepthError: files are missing, and `missing_ok` is not set: the first is named, the rest counted.
    """
    pairs, missing, base = [], [], str(folder)
    for row in rows:
        color, depth = _find(row.color, base), _find(row.depth, base)
        missing += [folder / word for word, found in ((row.color, color), (row.depth, depth)) if found is None]
        name, known = color or spellings(row.color)[0], told(row)
        color_file, depth_file = os.path.join(base, name), os.path.join(base, depth or spellings(row.depth)[0])
        pairs.append(FilePair(name, _scene(os.path.dirname(name)), color_file, depth_file, known.unit, known.camera))
    if missing and not missing_ok:
        raise _missing(missing, 2 * len(pairs), folder, listing)
    return pairs


def check_files(pairs: Sequence[FilePair], folder: Path) -> None:
    """Refuse pairs whose files are missing; the first is named, the rest counted.

    Raises:
        LightDepthError: files are missing.
    """
    missing = [path for pair in pairs for path in (pair.color_path, pair.depth_path) if not exists(path)]
    if missing:
        raise _missing(missing, 2 * len(pairs), folder, folder)


def spellings(written: str) -> list[str]:
    """Return what a path in a list may mean, as it is written first."""
    slashed = written.replace("\\", "/")
    return list(dict.fromkeys((written, slashed, slashed.lstrip("/"))))


def exists(path: Path) -> bool:
    """Tell whether a file is there; a word that can be no file's name is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):  # thousands of letters, a zero byte
        return False


@lru_cache(maxsize=1024)
def _scene(folder: str) -> str:
    """Return a folder's name as a scene's; pairs share the text."""
    return str(Path(folder))


def _find(written: str, folder: str) -> str | None:
    """Return what a word stands for; by `os`, since a million of paths as `Path` take a minute."""
    if os.path.isfile(os.path.join(folder, written)):
        return written
    return next((word for word in spellings(written)[1:] if os.path.isfile(os.path.join(folder, word))), None)


def _missing(missing: Sequence[Path], files: int, folder: Path, listing: Path) -> LightDepthError:
    first = missing[0]
    more = f" (and {len(missing) - 1} more of {files} files)" if len(missing) > 1 else ""
    similar = [path.name for path in _beside(first) if path.name.lower() == first.name.lower()]
    hint = f"There is {similar[0]}: capital letters count." if similar else "Restore the files or remove their rows."
    return LightDepthError(
        f"{listing} names {first}, which doesn't exist{more}. Paths are relative to {folder}. {hint}"
    )


def _beside(path: Path) -> list[Path]:
    try:
        return list(path.parent.iterdir())
    except (OSError, ValueError):
        return []
