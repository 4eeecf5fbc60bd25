"""Recognise a packaging and list its pairs."""

from pathlib import Path

from ..errors import LightDepthError
from .kaggle import find_csv, load_kaggle
from .labelled_mat import MAT_NAME, load_labelled_mat
from .packed import PACKED_NAME, load_packed
from .pair import PairSet
from .pair_list import load_pair_list

__all__ = ["MissingSplitError", "load_pairs"]


class MissingSplitError(LightDepthError):
    """A folder that holds no list of the split's pairs."""


def load_pairs(path: Path | str, split: str, *, missing_ok: bool = False) -> PairSet:
    """List the pairs of a folder or of one list file.

    A folder holds `nyu2_<split>.csv` (Kaggle/DenseDepth, with or without the `data/` level), or the official
    `nyu_depth_v2_labeled.mat` with `splits.mat`, or pair lists `<split>.txt`, or is what `lightdepth data pack` wrote.
    A file is a csv or a pair list, whole, whatever `split` says. With `missing_ok` a listed file may be missing:
    reading its pair says so.

    Raises:
        LightDepthError: nothing there, or a fault in it; MissingSplitError where no packaging of the split is found.
    """
    path = Path(path)
    if path.is_file():
        if path.suffix.lower() == ".mat":
            return load_labelled_mat(path, split)
        load = load_kaggle if path.suffix.lower() == ".csv" else load_pair_list
        return load(path, split, missing_ok=missing_ok)
    if not path.is_dir():
        raise LightDepthError(f"No data at {path}: no such file or folder.")
    if (path / PACKED_NAME).is_file():
        return load_packed(path, split)
    csv_path = find_csv(path, split)
    if csv_path:
        return load_kaggle(csv_path, split, missing_ok=missing_ok)
    if (path / MAT_NAME).is_file():
        return load_labelled_mat(path, split)
    if (path / f"{split}.txt").is_file():
        return load_pair_list(path / f"{split}.txt", split, missing_ok=missing_ok)
    content = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
    raise MissingSplitError(
        f"No {split} pairs in {path}: it holds {content}, but none of nyu2_{split}.csv, {MAT_NAME} or {split}.txt. "
        "See the README's section on data."
    )
