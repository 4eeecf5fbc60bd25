"""Find the recordings in a tree of folders, or say what is there instead and which layout is nearest."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ...images.decode import IMAGE_SUFFIXES
from ..depth_file import DEPTH_SUFFIXES
from ..depth_unit import DepthUnit
from .color_depth import COLOR_FOLDERS, DEPTH_FOLDERS, files_of, find_color_depth, find_mixed, named_folder
from .kitti import find_kitti
from .matching import natural_key
from .recording import Recording
from .tum_sequence import find_tum

__all__ = ["find_recordings", "what_is_there"]

DEEPEST = 5  # folders below the one that is given
_SHOWN = 8
_SHOWN_BELOW = 4


def find_recordings(root: Path, unit: DepthUnit | None) -> list[Recording]:
    """Return the recordings in a folder and in the folders below it, in natural order of their names.

    Known are TUM's sequences, KITTI's drives, two folders of colour and of depth, and both kinds of file in one folder.
    A folder that is one is not looked into any further. `unit` stands over what a packaging implies.

    Raises:
        LightDepthError: a list or camera file of a packaging that can't be read.
    """
    found: list[Recording] = []
    seen: set[Path] = set()

    def search(folder: Path, depth: int) -> None:
        real = folder.resolve()
        if real in seen:  # a link that leads back
            return
        seen.add(real)
        for find in (find_tum, find_kitti, find_color_depth, find_mixed):
            recording = find(root, folder, unit)
            if recording is not None:
                found.append(recording)
                return
        if depth < DEEPEST:
            folders = (entry for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))
            for entry in sorted(folders, key=natural_key):
                search(entry, depth + 1)

    search(root, 0)
    return found


def what_is_there(folder: Path, split: str) -> str:
    """Say what a folder without pairs holds, the layout that is nearest, and what to do."""
    entries = sorted(folder.iterdir(), key=natural_key)
    folders = [f"{entry.name}/ ({_content(entry)})" for entry in entries if entry.is_dir()]
    files = Counter(entry.suffix.lower() or "no suffix" for entry in entries if entry.is_file())
    there = [
        *folders[:_SHOWN],
        *(f"{count} {suffix} file{'s' * (count > 1)}" for suffix, count in files.most_common(_SHOWN)),
    ]
    more = f" and {len(folders) - _SHOWN} more folders" if len(folders) > _SHOWN else ""
    return f"It holds {', '.join(there) or 'nothing'}{more}. {_nearest_layout(folder, split)}"


def _nearest_layout(folder: Path, split: str) -> str:
    color, depth = named_folder(folder, COLOR_FOLDERS), named_folder(folder, DEPTH_FOLDERS)
    if color is not None and depth is not None:
        colors, depths = len(files_of(color, IMAGE_SUFFIXES)), len(files_of(depth, DEPTH_SUFFIXES))
        for folder, count, what, endings in (
            (color, colors, "pictures", IMAGE_SUFFIXES),
            (depth, depths, "depth, which JPEG would spoil", DEPTH_SUFFIXES),
        ):
            if not count:
                return f"{folder.name}/ has no files that hold {what}; write it as {', '.join(sorted(endings))}."
        return (
            f"{color.name}/ has {colors} images and {depth.name}/ has {depths} depth files, and neither their names "
            "nor their numbers match; give both files of a pair the same name."
        )
    for there, wanted in ((color, "depth"), (depth, "color")):
        if there is not None:
            return f"{there.name}/ is there, but no {wanted}/ beside it; name the other folder {wanted}."
    if (folder / "rgb.txt").is_file() or (folder / "depth.txt").is_file():
        return "TUM's sequences have both rgb.txt and depth.txt."
    others = [name for name in ("train", "test") if (folder / f"{name}.txt").is_file() or (folder / name).is_dir()]
    if others:
        return f"It has pairs of {', '.join(others)}; add {split}.txt, or choose that split."
    return (
        "Make it color/ and depth/ with equal file names, or write a pair list (a `colour depth` line a pair); "
        "docs/data.md lists every layout."
    )


def _content(folder: Path) -> str:
    suffixes = Counter(entry.suffix.lower() for entry in folder.iterdir() if entry.is_file())
    if suffixes:
        return ", ".join(f"{count} {suffix or 'other'}" for suffix, count in suffixes.most_common(2))
    folders = sorted((entry for entry in folder.iterdir() if entry.is_dir()), key=natural_key)
    more = [f"{len(folders) - _SHOWN_BELOW} more folders"] if len(folders) > _SHOWN_BELOW else []
    return ", ".join([*(f"{entry.name}/" for entry in folders[:_SHOWN_BELOW]), *more]) or "nothing"
