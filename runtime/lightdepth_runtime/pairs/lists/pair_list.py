"""A text file of `colour depth` lines: the packaging for anyone's own recordings."""

from __future__ import annotations

from pathlib import Path

from ..depth_unit import DepthUnit
from ..pair import PairSet, common_camera
from .comments import read_comments
from .files import Told, find_pairs
from .rows import WORDS, parse_rows, read_lines

__all__ = ["load_pair_list"]


def load_pair_list(path: Path, split: str, *, missing_ok: bool = False, unit: DepthUnit | None = None) -> PairSet:
    """List the pairs of a text file: two paths a line, relative to the file or absolute; see `rows.parse_rows`.

    A path with spaces stands in quotes. The colour file's folder is the scene. Two comments tell what the lines below
    them have, up to the next of their kind: `# intrinsics: fx fy cx cy width height` the camera, in pixels, and
    `# depth: 5000 per metre` the unit (a number, or a name of `depth_unit.NAMED_UNITS`). Without one, whole numbers are
    millimetres and floats metres; 0 is no reading.

    Args:
        path: of the list.
        split: what to call the pairs.
        missing_ok: leave it to reading to find that a file is missing.
        unit: of all depth, over what the comments say.

    Raises:
        LightDepthError: unreadable or empty file, a line without two paths, a faulty comment, or missing files.
    """
    lines = read_lines(path)
    told = read_comments(lines, path, Told(), unit)
    pairs = find_pairs(parse_rows(lines, path, WORDS), path.parent, path, told, missing_ok=missing_ok)
    return PairSet("pair list", path.parent, split, pairs, common_camera(pairs))
