"""Lists as sets of pairs: a text file of `colour depth` lines, for anyone's own recordings, and Kaggle's csv."""

from dataclasses import replace
from pathlib import Path

from ..depth_unit import DENSEDEPTH, DepthUnit
from ..labelled_mat import NYU_INTRINSICS
from ..pair import PairSet, common_camera
from .comments import read_comments
from .files import Told, find_file, find_pairs
from .rows import COLUMNS, WORDS, parse_rows, read_lines

__all__ = ["load_kaggle", "load_pair_list"]

_NYU = "nyu2_"  # what the packaging's own csv files are called: of another csv the camera is unknown
_LEVEL = "data"  # the csv says data/nyu2_train/...; users unpack with and without that folder


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


def load_kaggle(csv_path: Path, split: str, *, missing_ok: bool = False, unit: DepthUnit | None = None) -> PairSet:
    """List the pairs of one csv of NYU Depth V2 as Kaggle/DenseDepth packs it, with folders of images.

    Comments tell camera and unit as in a pair list. Without one, and without a `unit`, bit depth tells the unit: 8-bit
    files are 255 = 10 m, 16-bit files millimetres.

    Raises:
        LightDepthError: an unreadable or empty csv, a row without two columns, a faulty comment, or missing files.
    """
    lines = read_lines(csv_path)
    rows = list(parse_rows(lines, csv_path, COLUMNS))
    base, strip = _find_base(csv_path, rows[0].color)
    if strip:
        rows = [replace(row, color=_without_level(row.color), depth=_without_level(row.depth)) for row in rows]
    camera = NYU_INTRINSICS if csv_path.name.startswith(_NYU) else None
    told = read_comments(lines, csv_path, Told(DENSEDEPTH, camera), unit)
    pairs = find_pairs(rows, base, csv_path, told, missing_ok=missing_ok)
    pairs = [replace(pair, scene=Path(pair.scene).name) for pair in pairs]
    return PairSet("kaggle", csv_path.parent, split, pairs, common_camera(pairs))


def _find_base(csv_path: Path, first: str) -> tuple[Path, bool]:
    """Return the folder the rows are relative to, and whether their `data/` is to be dropped."""
    for base in (csv_path.parent, csv_path.parent.parent):
        if find_file(first, str(base)) is not None:
            return base, False
    return csv_path.parent, not (csv_path.parent / _LEVEL).is_dir() and _without_level(first) != first


def _without_level(written: str) -> str:
    return written.replace("\\", "/").removeprefix(f"{_LEVEL}/")
