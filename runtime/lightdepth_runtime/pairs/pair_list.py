"""A text file of `colour depth` lines: the packaging for anyone's own recordings."""

import shlex
from collections.abc import Sequence
from pathlib import Path

from ..errors import LightDepthError
from ..spec import Intrinsics
from .depth_png import FilePair, check_all_exist
from .pair import PairSet

__all__ = ["INTRINSICS_MARK", "load_pair_list", "read_intrinsics"]

INTRINSICS_MARK = "# intrinsics:"  # a comment to readers that don't know it


def load_pair_list(path: Path, split: str, *, missing_ok: bool = False) -> PairSet:
    """List the pairs of a text file: two paths a line, relative to the file or absolute; `#` starts a comment.

    Depth is 16-bit PNG in millimetres, 0 = no reading. A path with spaces stands in quotes. The colour file's folder is
    the scene. A comment `# intrinsics: fx fy cx cy width height` tells the camera of all images, in pixels.

    Raises:
        LightDepthError: unreadable or empty file, a line without two paths, or missing files.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LightDepthError(f"Can't read {path} as a text list of pairs ({error}).") from error
    pairs = []
    for number, line in enumerate(lines, 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise LightDepthError(f"{path}, line {number}: {error} in {line[:80]!r}.") from error
        if not words:
            continue
        if len(words) != 2:
            raise LightDepthError(
                f"{path}, line {number}: expected `colour depth`, got {len(words)} paths: {line[:80]!r}."
            )
        color, depth = (path.parent / word for word in words)  # an absolute word replaces the parent
        pairs.append(FilePair(words[0], str(Path(words[0]).parent), color, depth, "millimetres"))
    if not pairs:
        raise LightDepthError(f"{path} lists no pairs; write one `colour depth` line a pair.")
    if not missing_ok:
        check_all_exist(pairs, path)
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
