"""The files that a list names: found as Linux, Windows and BTS write paths, or named where they are missing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..errors import LightDepthError
from .depth_png import DepthRule, FilePair
from .rows import Row

__all__ = ["exists", "find_pairs", "spellings"]


def find_pairs(
    rows: Sequence[Row], folder: Path, listing: Path, rule: DepthRule, *, missing_ok: bool = False
) -> list[FilePair]:
    """Return the pairs of a list's rows, whose paths are relative to `folder` or absolute; the scene is the folder.

    Backslashes may stand for slashes. A leading slash may stand for the folder itself, as in BTS's lists.

    Raises:
        LightDepthError: files are missing, and `missing_ok` is not set: the first is named, the rest counted.
    """
    pairs, missing = [], []
    for row in rows:
        color, depth = (_find(word, folder) for word in (row.color, row.depth))
        missing += [folder / word for word, found in ((row.color, color), (row.depth, depth)) if found is None]
        name = color or spellings(row.color)[0]
        pairs.append(
            FilePair(name, str(Path(name).parent), folder / name, folder / (depth or spellings(row.depth)[0]), rule)
        )
    if missing and not missing_ok:
        raise _missing(missing, 2 * len(rows), folder, listing)
    return pairs


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


def _find(written: str, folder: Path) -> str | None:
    return next((word for word in spellings(written) if exists(folder / word)), None)


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
