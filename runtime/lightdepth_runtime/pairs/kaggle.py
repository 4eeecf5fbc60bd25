"""NYU Depth V2 as Kaggle/DenseDepth packs it: `nyu2_train.csv`, `nyu2_test.csv` and folders of images."""

import csv
from pathlib import Path

from ..errors import LightDepthError
from .depth_png import FilePair, check_all_exist
from .labelled_mat import NYU_INTRINSICS
from .pair import PairSet

__all__ = ["find_csv", "load_kaggle"]

_NYU = "nyu2_"  # what the packaging's own csv files are called: of another csv the camera is unknown
_LEVEL = "data"  # the csv says data/nyu2_train/...; users unpack with and without that folder


def find_csv(folder: Path, split: str) -> Path | None:
    """Return the csv of a split, in the folder or in its `data/` level."""
    for candidate in (folder / f"nyu2_{split}.csv", folder / _LEVEL / f"nyu2_{split}.csv"):
        if candidate.is_file():
            return candidate
    return None


def load_kaggle(csv_path: Path, split: str, *, missing_ok: bool = False) -> PairSet:
    """List the pairs of one csv. Bit depth tells the unit: 8-bit files are 255 = 10 m, 16-bit files millimetres.

    Raises:
        LightDepthError: an unreadable or empty csv, a row without two columns, or missing files.
    """
    try:
        with csv_path.open(newline="", encoding="utf-8-sig") as file:
            rows = [row for row in csv.reader(file) if row]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise LightDepthError(f"Can't read {csv_path} as a csv ({error}).") from error
    for number, row in enumerate(rows, 1):
        if len(row) != 2:
            raise LightDepthError(
                f"{csv_path}, row {number}: expected two columns (colour, depth), got {len(row)}: "
                f"{','.join(row)[:80]!r}."
            )
    if not rows:
        raise LightDepthError(f"{csv_path} lists no pairs. Download the packaging again or choose another --split.")
    base, strip = _find_base(csv_path, rows[0][0])
    pairs = []
    for color, depth in rows:
        color, depth = (row.removeprefix(f"{_LEVEL}/") if strip else row for row in (color, depth))
        pairs.append(FilePair(color, Path(color).parent.name, base / color, base / depth, "densedepth"))
    if not missing_ok:
        check_all_exist(pairs, csv_path)
    camera = NYU_INTRINSICS if csv_path.name.startswith(_NYU) else None
    return PairSet("kaggle", csv_path.parent, split, pairs, camera)


def _find_base(csv_path: Path, first: str) -> tuple[Path, bool]:
    """Return the folder the rows are relative to, and whether their `data/` is to be dropped."""
    for base in (csv_path.parent, csv_path.parent.parent):
        if (base / first).is_file():
            return base, False
    return csv_path.parent, not (csv_path.parent / _LEVEL).is_dir() and first.startswith(f"{_LEVEL}/")
