"""Where images come from: files and folders, each with the name that its outputs begin with."""

import os
import re
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from ..errors import LightDepthError, nearest_path
from ..frames.frame import ImageJob
from ..images.decode import IMAGE_SUFFIXES
from ..images.stored import is_depth_picture, is_heic

__all__ = ["OUTPUT_ENDINGS", "distinct_stems", "plan_jobs"]

# What `infer` writes. In a folder such files are depth maps, of an earlier run or of a recording, and not photographs.
OUTPUT_ENDINGS = ("_depth.png", "_depth_mm.png", "_sigma.png")
_HEIC_SUFFIXES = (".heic", ".heif", ".hif")  # some phones' JPEG files have them too
_DEPTH = "of 16 bits and one channel, which is depth (a file that is named itself is taken)"
_HEIC = "HEIC, which must be converted to JPEG first"


def plan_jobs(
    inputs: Sequence[Path], output: Path | None = None, *, say: Callable[[str], None] = lambda _: None
) -> list[ImageJob]:
    """List the images of files and folders, with output names that never collide.

    Folders are searched through, linked ones too, and in natural order (2 before 10). Hidden files, depth maps
    (`OUTPUT_ENDINGS`, and pictures of 16 bits with one channel) and whatever lies in `output` are left out; a file that
    is named itself is always taken. An image that comes twice counts once.

    An image's stem names its outputs. Images of one folder that share a stem get their suffix behind it (`a-jpg`,
    `a-png`), images of several folders as many folder names before it as tell them apart (`left-a`, `right-a`).

    Args:
        inputs: files and folders.
        output: left out of the search.
        say: told how many files of folders were left out, by suffix.

    Raises:
        LightDepthError: no inputs, one that doesn't exist, or a folder without images.
    """
    if not inputs:
        raise LightDepthError("There is nothing to infer; name an image or a folder of images.")
    skipped = _absolute(output) if output else None
    left_out: Counter[str] = Counter()
    paths = list(dict.fromkeys(path for item in inputs for path in _images_of(_absolute(item), skipped, left_out)))
    if left_out:
        say(_describe(left_out))
    return [ImageJob(path, stem) for path, stem in zip(paths, distinct_stems(paths), strict=True)]


def _absolute(path: Path) -> Path:
    """Return the path without `..`, but keep links: their names are what the user sees."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _images_of(item: Path, skipped: Path | None, left_out: Counter[str]) -> list[Path]:
    if item.is_file():
        return [item]
    if not item.is_dir():
        is_address = any(part.endswith(":") for part in item.parts)  # a Path has lost one of two slashes
        mend = "; images at an address are to be fetched first" if is_address else "; name one that exists"
        raise LightDepthError(f"No image or folder at {item}{nearest_path(item)}{mend}.")
    found, here, seen = [], Counter[str](), set[tuple[int, int]]()
    _is_new(item, seen)

    def unreadable(_: OSError) -> None:
        here["folder that can't be read"] += 1

    for name, folders, files in os.walk(item, followlinks=True, onerror=unreadable):
        folder = Path(name)
        folders.sort(key=lambda f: (folder / f).is_symlink())
        folders[:] = [
            f for f in folders if not f.startswith(".") and folder / f != skipped and _is_new(folder / f, seen)
        ]
        for file in files:
            if file.startswith(".") or file.lower().endswith(OUTPUT_ENDINGS):
                continue
            reason = _why_not(folder / file)
            if reason is None:
                found.append(folder / file)
            else:
                here[reason] += 1
    if not found:
        what = f": {_describe(here)}" if here else ""
        raise LightDepthError(
            f"{item} has no images{what}. Those that can be read are {', '.join(sorted(IMAGE_SUFFIXES))}. Depth maps "
            f"(*{', *'.join(OUTPUT_ENDINGS)}) and hidden files don't count. Name another folder, or the files "
            "themselves."
        )
    left_out.update(here)
    return sorted(found, key=_natural_key)


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Tell whether a folder was not come by before: links may lead in circles."""
    try:
        status = folder.stat()
    except OSError:
        return False
    is_new = (status.st_dev, status.st_ino) not in seen
    seen.add((status.st_dev, status.st_ino))
    return is_new


def _why_not(path: Path) -> str | None:
    """Return why a file of a folder is no photograph to be read, None where it is one."""
    suffix = path.suffix.lower()
    if path.exists() and not path.is_file():
        return "pipe or device"
    if suffix in _HEIC_SUFFIXES:
        return _HEIC if is_heic(path) else None
    if suffix not in IMAGE_SUFFIXES:
        return suffix or "without a suffix"
    return _DEPTH if is_depth_picture(path) else None


def _describe(left_out: Counter[str]) -> str:
    kinds = ", ".join(f"{count} {kind}" for kind, count in left_out.most_common())
    total = sum(left_out.values())
    return f"{total} left out: {kinds}"


def _natural_key(path: Path) -> list[tuple[tuple[int, str], ...]]:
    """Sort numbers in names by value, folder by folder."""
    return [
        tuple((int(piece), "") if piece.isdecimal() else (-1, piece.lower()) for piece in re.split(r"(\d+)", part))
        for part in path.parts
    ]


def distinct_stems(paths: Sequence[Path]) -> list[str]:
    """Name each path's outputs; upper and lower case count as equal, since some file systems see no difference."""
    siblings = Counter((path.parent, path.stem.lower()) for path in paths)
    own = [
        f"{path.stem}-{path.suffix.removeprefix('.')}" if siblings[path.parent, path.stem.lower()] > 1 else path.stem
        for path in paths
    ]
    levels = [0] * len(paths)  # how many folder names stand before each
    while True:
        names = [
            "-".join((*path.parts[1:-1][len(path.parts) - 2 - level :], stem))
            for path, stem, level in zip(paths, own, levels, strict=True)
        ]
        counts = Counter(name.lower() for name in names)
        longer = [
            min(level + 1, len(path.parts) - 2) if counts[name.lower()] > 1 else level
            for path, name, level in zip(paths, names, levels, strict=True)
        ]
        if longer == levels:
            return _numbered(names)
        levels = longer


def _numbered(names: Sequence[str]) -> list[str]:
    """Number what even whole paths don't tell apart: `a-b/c` and `a/b-c`, or `A.jpg` and `a.jpg`."""
    taken: set[str] = set()
    result = []
    for name in names:
        unique, number = name, 2
        while unique.lower() in taken:
            unique, number = f"{name}-{number}", number + 1
        taken.add(unique.lower())
        result.append(unique)
    return result
