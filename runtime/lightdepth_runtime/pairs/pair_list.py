"""A text file of `colour depth` lines: the packaging for anyone's own recordings."""

from collections.abc import Sequence
from pathlib import Path

from ..errors import LightDepthError
from ..spec import Intrinsics
from .files import find_pairs
from .pair import PairSet
from .rows import WORDS, parse_rows, read_lines

__all__ = ["INTRINSICS_MARK", "load_pair_list", "read_intrinsics"]

INTRINSICS_MARK = "# intrinsics:"  # a comment to readers that don't know it


def load_pair_list(path: Path, split: str, *, missing_ok: bool = False) -> PairSet:
    """List the pairs of a text file: two paths a line, relative to the file or absolute; see `rows.parse_rows`.

    Depth is 16-bit PNG in millimetres, 0 = no reading. A path with spaces stands in quotes. The colour file's folder is
    the scene. A comment `# intrinsics: fx fy cx cy width height` tells the camera of all images, in pixels.

    Raises:
        LightDepthError: unreadable or empty file, a line without two paths, or missing files.
    """
    lines = read_lines(path)
    rows = parse_rows(lines, path, WORDS)
    pairs = find_pairs(rows, path.parent, path, "millimetres", missing_ok=missing_ok)
    return PairSet("pair list", path.parent, split, pairs, read_intrinsics(lines))


def read_intrinsics(lines: Sequence[str]) -> Intrinsics | None:
    """Return the camera that a list's comment tells, or None.

    Raises:
        LightDepthError: the comment has other than six numbers.
    """
    for line in lines:
        if line.startswith(INTRINSICS_MARK):
            try:
                fx, fy, cx, cy, width, height = map(float, line.removeprefix(INTRINSICS_MARK).split())
            except ValueError as error:
                raise LightDepthError(
                    f"A pair list's `{INTRINSICS_MARK}` needs six numbers, fx fy cx cy width height; got {line!r}."
                ) from error
            return Intrinsics(fx, fy, cx, cy, int(width), int(height))
    return None
