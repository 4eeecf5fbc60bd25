"""NYU Depth V2 as Kaggle/DenseDepth packs it: `nyu2_train.csv`, `nyu2_test.csv` and folders of images."""

from dataclasses import replace
from pathlib import Path

from ..depth_unit import DENSEDEPTH, DepthUnit
from ..labelled_mat import NYU_INTRINSICS
from ..pair import PairSet, common_camera
from .comments import read_comments
from .files import Told, exists, find_pairs, spellings
from .rows import COLUMNS, parse_rows, read_lines

__all__ = ["find_csv", "load_kaggle"]

_NYU = "nyu2_"  # what the packaging's own csv files are called: of another csv the camera is unknown
_LEVEL = "data"  # the csv says data/nyu2_train/...; users unpack with and without that folder


def find_csv(folder: Path, split: str) -> Path | None:
    """Return the csv of a split, in the folder or in its `data/` level."""
    for candidate in (folder / f"nyu2_{split}.csv", folder / _LEVEL / f"nyu2_{split}.csv"):
        if candidate.is_file():
            return candidate
    return None


def load_kaggle(csv_path: Path, split: str, *, missing_ok: bool = False, unit: DepthUnit | None = None) -> PairSet:
    """List the pairs of one csv.

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
        if any(exists(base / spelling) for spelling in spellings(first)):
            return base, False
    return csv_path.parent, not (csv_path.parent / _LEVEL).is_dir() and _without_level(first) != first


def _without_level(written: str) -> str:
    return written.replace("\\", "/").removeprefix(f"{_LEVEL}/")
