"""Folders of colour and depth: two folders side by side, or both kinds of file in one."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ...images.decode import IMAGE_SUFFIXES
from ..depth_file import DEPTH_SUFFIXES
from ..depth_unit import NAMED_UNITS, DepthUnit
from .camera_files import read_camera
from .matching import Matches, match_files
from .recording import Recording, make_pairs

__all__ = ["COLOR_FOLDERS", "DEPTH_FOLDERS", "find_color_depth", "find_mixed", "named_folder"]

COLOR_FOLDERS = ("color", "colour", "rgb", "image", "images", "img", "imgs", "colors", "left", "lowres_wide")
DEPTH_FOLDERS = (
    "depth", "depths", "aligned_depth", "depth_aligned", "depth_registered", "depth_raw", "depth_bfx",
    "groundtruth_depth", "groundtruth", "gt", "depth_map", "depth_maps", "lowres_depth",
)  # fmt: skip
_SUN_MARK = "depth_bfx"  # SUN RGB-D has its filled depth beside the raw one, both rotated by three bits
_DEPTH_WORD = re.compile(r"(?i)(?<![a-z])depths?(?![a-z])")
_OTHER_WORD = re.compile(r"(?i)(?<![a-z])(masks?|normals?|labels?|seg|semantic|instance|vis|mm|confidence)(?![a-z])")


def find_color_depth(root: Path, folder: Path, unit: DepthUnit | None) -> Recording | None:
    """Return the pairs of a folder that holds one folder of colour images and one of depth."""
    color_folder, depth_folder = named_folder(folder, COLOR_FOLDERS), named_folder(folder, DEPTH_FOLDERS)
    if color_folder is None or depth_folder is None:
        return None
    colors = files_of(color_folder, IMAGE_SUFFIXES)
    depths = files_of(depth_folder, DEPTH_SUFFIXES)
    if unit is None and (folder / _SUN_MARK).is_dir():
        unit = NAMED_UNITS["sunrgbd"]
    recording = _recording("colour and depth folders", root, folder, match_files(colors, depths), unit)
    if recording is None:
        return None
    unread = _unread(color_folder, IMAGE_SUFFIXES) + _unread(depth_folder, DEPTH_SUFFIXES)
    return replace(recording, unread=unread)


def find_mixed(root: Path, folder: Path, unit: DepthUnit | None) -> Recording | None:
    """Return the pairs of a folder whose depth files stand beside their images and have "depth" in their names."""
    files = [path for path in files_of(folder, IMAGE_SUFFIXES | DEPTH_SUFFIXES) if not _OTHER_WORD.search(path.stem)]
    depths = [path for path in files if _DEPTH_WORD.search(path.stem) and path.suffix.lower() in DEPTH_SUFFIXES]
    colors = [path for path in files if not _DEPTH_WORD.search(path.stem) and path.suffix.lower() in IMAGE_SUFFIXES]
    matches = match_files(colors, depths)
    by_order = matches is not None and matches.rule == "their order"
    return None if by_order else _recording("colour and depth files", root, folder, matches, unit)


def named_folder(folder: Path, names: tuple[str, ...]) -> Path | None:
    """Return the folder of the first of these names, whatever its case."""
    there = {entry.name.lower(): entry for entry in folder.iterdir() if entry.is_dir()}
    return next((there[name] for name in names if name in there), None)


def _recording(
    kind: str, root: Path, folder: Path, matches: Matches | None, unit: DepthUnit | None
) -> Recording | None:
    if matches is None:
        return None
    pairs = make_pairs(root, folder, matches.pairs, unit, read_camera(folder, matches.pairs[0][0]))
    return Recording(kind, pairs, matches.rule, matches.alone)


def files_of(folder: Path, suffixes: frozenset[str]) -> list[Path]:
    """List a folder's own visible files of some types."""
    return [entry for entry in _visible(folder) if entry.suffix.lower() in suffixes and entry.is_file()]


def _unread(folder: Path, suffixes: frozenset[str]) -> Counter[str]:
    """Count a folder's own visible files of other types, by suffix."""
    others = (entry for entry in _visible(folder) if entry.suffix.lower() not in suffixes and entry.is_file())
    return Counter(entry.suffix.lower() or "without a suffix" for entry in others)


def _visible(folder: Path) -> Iterator[Path]:
    return (entry for entry in folder.iterdir() if not entry.name.startswith("."))
