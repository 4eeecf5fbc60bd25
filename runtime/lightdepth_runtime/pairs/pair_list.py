"""A text file of `colour depth` lines: the packaging for anyone's own recordings."""

import shlex
from pathlib import Path

from ..errors import LightDepthError
from .depth_png import FilePair
from .files import check_all_exist
from .pair import PairSet

__all__ = ["load_pair_list"]


def load_pair_list(path: Path, split: str) -> PairSet:
    """List the pairs of a text file: two paths a line, relative to the file or absolute; `#` starts a comment.

    Depth is 16-bit PNG in millimetres, 0 = no reading. A path with spaces stands in quotes. The colour file's folder is
    the scene.

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
    check_all_exist(pairs, path)
    return PairSet("pair list", path.parent, split, pairs)
