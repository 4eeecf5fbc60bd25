"""Write the pairs of any packaging of files as a pair list."""

from __future__ import annotations

import os
from pathlib import Path

from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import DepthUnit, PairSet, load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.lists.comments import DEPTH_MARK, describe_camera
from lightdepth_runtime.pairs.lists.rows import format_row

__all__ = ["write_pair_list"]


def write_pair_list(data: Path, path: Path, split: str, *, unit: DepthUnit | None = None) -> PairSet:
    """Write the pairs of a split as `colour depth` lines relative to the list, below comments on camera and unit.

    Raises:
        LightDepthError: no pairs, pairs that are not files, some with and some without a camera or a unit, or a file
            that can't be written.
    """
    pairs = load_pairs(data, split, unit=unit)
    for known, what in ((lambda pair: pair.intrinsics, "camera"), (lambda pair: pair.depth_unit, "unit")):
        if len({known(pair) is None for pair in pairs.pairs}) > 1:
            raise LightDepthError(f"The {what} of only some pairs of {data} is known; list their folders one by one.")
    folder = path.resolve().parent
    lines: list[str] = []
    camera = depth_unit = None
    for pair in pairs.pairs:
        if not isinstance(pair, FilePair):
            raise LightDepthError(f"{data} is {pairs.packaging}, which has no file a pair to list; use it as it is.")
        if pair.intrinsics is not None and pair.intrinsics != camera:
            lines.append(describe_camera(pair.intrinsics))
        if pair.depth_unit is not None and pair.depth_unit != depth_unit:
            lines.append(f"{DEPTH_MARK} {pair.depth_unit}")
        camera, depth_unit = pair.intrinsics, pair.depth_unit
        files = (os.path.relpath(file.resolve(), folder) for file in (pair.color_path, pair.depth_path))
        lines.append(format_row(*files))
    write_text(path, "\n".join(lines) + "\n")
    return pairs
