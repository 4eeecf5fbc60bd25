"""TUM RGB-D's sequences: lists of time stamps and files, colour and depth matched by stamp."""

from __future__ import annotations

from pathlib import Path

from ...errors import LightDepthError
from ...spec import Intrinsics
from ..depth_unit import NAMED_UNITS, DepthUnit
from ..lists.rows import read_lines
from .matching import LARGEST_GAP_S, Matches, match_stamped, nanoseconds
from .recording import Recording, make_pairs

__all__ = ["find_tum"]

_ASSOCIATIONS = ("associations.txt", "association.txt", "associate.txt", "assoc.txt")
# The data set's page on its file formats: calibration of the colour camera, 640x480.
_CAMERAS = {
    "freiburg1": Intrinsics(517.3, 516.5, 318.6, 255.3, 640, 480),
    "freiburg2": Intrinsics(520.9, 521.0, 325.1, 249.7, 640, 480),
    "freiburg3": Intrinsics(535.4, 539.2, 320.1, 247.6, 640, 480),
}


def find_tum(root: Path, folder: Path, unit: DepthUnit | None) -> Recording | None:
    """Return the pairs of a sequence: `rgb.txt` and `depth.txt`, or `associations.txt`; depth is 1/5000 m.

    Raises:
        LightDepthError: a list that can't be read, or no two stamps near enough.
    """
    listed = next((folder / name for name in _ASSOCIATIONS if (folder / name).is_file()), None)
    if listed is not None:
        matches = Matches(_read_associations(listed), listed.name, 0)
    elif (folder / "rgb.txt").is_file() and (folder / "depth.txt").is_file():
        matches = match_stamped(_read_stamps(folder / "rgb.txt"), _read_stamps(folder / "depth.txt"))
        if matches is None:
            raise LightDepthError(
                f"{folder}: no colour image of rgb.txt and depth of depth.txt are within {LARGEST_GAP_S:g} s of each "
                "other; are both lists of one recording?"
            )
    else:
        return None
    camera = next((camera for name, camera in _CAMERAS.items() if name in folder.resolve().name), None)
    pairs = make_pairs(root, folder, matches.pairs, unit or NAMED_UNITS["tum"], camera)
    return Recording("TUM sequences", pairs, matches.rule, matches.alone)


def _read_stamps(path: Path) -> list[tuple[int, Path]]:
    """Read `stamp file` lines as nanoseconds and path, which is relative to the list's folder."""
    rows = []
    for number, words in _rows(path):
        if len(words) < 2:
            raise LightDepthError(f"{path}, line {number}: expected `stamp file`, got {' '.join(words)[:80]!r}.")
        try:
            rows.append((nanoseconds(words[0]), path.parent / words[1]))
        except ValueError as error:
            raise LightDepthError(f"{path}, line {number}: {words[0]!r} is no time stamp in seconds.") from error
    return rows


def _read_associations(path: Path) -> list[tuple[Path, Path]]:
    """Read `stamp file stamp file` lines, depth first or colour first; poses may stand behind."""
    files = []
    for number, words in _rows(path):
        if len(words) < 4:
            raise LightDepthError(
                f"{path}, line {number}: expected `stamp file stamp file`, got {' '.join(words)[:80]!r}."
            )
        first, second = path.parent / words[1], path.parent / words[3]
        files.append((second, first) if "depth" in words[1].lower() else (first, second))
    if not files:
        raise LightDepthError(f"{path} lists no pairs; make it again with TUM's associate.py, or delete it.")
    return files


def _rows(path: Path) -> list[tuple[int, list[str]]]:
    lines = read_lines(path, "list of time stamps", "stamp file")
    rows = ((number, line.replace(",", " ").split()) for number, line in enumerate(lines, 1))
    return [(number, words) for number, words in rows if words and not words[0].startswith("#")]
