"""Write the pairs of any packaging of files as a pair list."""

from __future__ import annotations

import os
from pathlib import Path

from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import DepthUnit, PairSet, load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.lists.comments import DEPTH_MARK, INTRINSICS_MARK, UNKNOWN, describe_camera
from lightdepth_runtime.pairs.lists.rows import format_row
from lightdepth_runtime.spec import Intrinsics

__all__ = ["write_pair_list"]


def write_pair_list(data: Path, path: Path, split: str, *, unit: DepthUnit | None = None) -> PairSet:
    """Write the pairs of a split as `colour depth` lines relative to the list, below comments on camera and unit.

    Raises:
        LightDepthError: no pairs, pairs that are not files, or a file that can't be written.
    """
    pairs = load_pairs(data, split, unit=unit)
    folder = path.resolve().parent
    lines: list[str] = []
    told: tuple[Intrinsics | None, str | None] | None = None  # the first pair tells both, for lists that are joined
    for pair in pairs.pairs:
        if not isinstance(pair, FilePair):
            raise LightDepthError(f"{data} is {pairs.packaging}, which has no file a pair to list; use it as it is.")
        if told is None or pair.intrinsics != told[0]:
            lines.append(describe_camera(pair.intrinsics) if pair.intrinsics else f"{INTRINSICS_MARK} {UNKNOWN}")
        if told is None or pair.depth_unit != told[1]:
            lines.append(f"{DEPTH_MARK} {pair.depth_unit or UNKNOWN}")
        told = pair.intrinsics, pair.depth_unit
        files = (os.path.relpath(file.resolve(), folder) for file in (pair.color_path, pair.depth_path))
        lines.append(format_row(*files))
    write_text(path, "\n".join(lines) + "\n")
    return pairs
