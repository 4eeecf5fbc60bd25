"""Where images come from: files and folders, each with the name that its outputs begin with."""

import os
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from ..errors import LightDepthError
from ..frames.frame import ImageJob
from ..images.decode import IMAGE_SUFFIXES

__all__ = ["OUTPUT_ENDINGS", "distinct_stems", "plan_jobs"]

# What `infer` writes. In a folder such files are depth maps, of an earlier run or of a recording, and not photographs.
OUTPUT_ENDINGS = ("_depth.png", "_depth_mm.png")


def plan_jobs(inputs: Sequence[Path], output: Path | None = None) -> list[ImageJob]:
    """List the images of files and folders, with output names that never collide.

    Folders are searched through and in natural order (2 before 10). Their hidden files, depth maps (`OUTPUT_ENDINGS`)
    and whatever lies in `output` are left out; a file that is named itself is always taken. An image that comes twice
    counts once.

    An image's stem names its outputs. Images of one folder that share a stem get their suffix behind it (`a-jpg`,
    `a-png`), images of several folders as many folder names before it as tell them apart (`left-a`, `right-a`).

    Raises:
        LightDepthError: no inputs, one that doesn't exist, or a folder without images.
    """
    if not inputs:
        raise LightDepthError("There is nothing to infer; name an image or a folder of images.")
    skipped = _absolute(output) if output else None
    paths = list(dict.fromkeys(path for item in inputs for path in _images_of(_absolute(item), skipped)))
    return [ImageJob(path, stem) for path, stem in zip(paths, distinct_stems(paths), strict=True)]


def _absolute(path: Path) -> Path:
    """Return the path without `..`, but keep links: their names are what the user sees."""
    return Path(os.path.abspath(path))  # noqa: PTH100


def _images_of(item: Path, skipped: Path | None) -> list[Path]:
    if item.is_file():
        return [item]
    if not item.is_dir():
        raise LightDepthError(f"No image or folder at {item}.")
    found = []
    for name, folders, files in os.walk(item):
        folder = Path(name)
        folders[:] = [f for f in folders if not f.startswith(".") and folder / f != skipped]
        found += [folder / file for file in files if _is_photograph(file)]
    if not found:
        raise LightDepthError(
            f"{item} has no images ({', '.join(sorted(IMAGE_SUFFIXES))}); depth maps (*{', *'.join(OUTPUT_ENDINGS)}) "
            "and hidden files don't count. Name another folder, or the files themselves."
        )
    return sorted(found, key=_natural_key)


def _is_photograph(name: str) -> bool:
    is_image = Path(name).suffix.lower() in IMAGE_SUFFIXES
    return is_image and not name.startswith(".") and not name.lower().endswith(OUTPUT_ENDINGS)


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
