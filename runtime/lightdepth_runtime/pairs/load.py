"""Recognise a packaging and list its pairs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..errors import LightDepthError, nearest_path
from .depth_unit import DepthUnit
from .folders.find import find_recordings, what_is_there
from .labelled_mat import MAT_NAME, load_labelled_mat
from .lists.files import check_files
from .lists.load import load_kaggle, load_pair_list
from .packed import PACKED_NAME, load_packed, packed_splits
from .pair import UNDIVIDED, PairSet, common_camera
from .remote import url_of
from .shard import ShardCache

__all__ = ["MissingSplitError", "load_pairs", "splits_of"]

_SPLITS = ("train", "test")
# Folders that stand for a split; KITTI calls its second one val.
_SPLIT_FOLDERS = {"train": ("train", "training"), "test": ("test", "testing", "val", "validation")}


class MissingSplitError(LightDepthError):
    """A folder that holds no list of the split's pairs."""


def load_pairs(
    path: Path | str,
    split: str,
    *,
    missing_ok: bool = False,
    unit: DepthUnit | None = None,
    cache: ShardCache | None = None,
) -> PairSet:
    """List the pairs of a folder, of one list file, or of a packed folder at a URL.

    A folder holds `nyu2_<split>.csv` (Kaggle/DenseDepth, with or without the `data/` level), or the official
    `nyu_depth_v2_labeled.mat` with `splits.mat`, or pair lists `<split>.txt`, or is what `lightdepth data pack` wrote,
    or holds recordings (see `folders.find_recordings`), in `train/` and `test/` or undivided: then they are the pairs
    of any split. A file is a csv or a pair list, whole, whatever `split` says. With `missing_ok` a listed file may be
    missing: reading its pair says so.

    Args:
        path: the folder, file or URL.
        split: "train" or "test".
        missing_ok: don't look whether files are there.
        unit: of stored depth, over what packaging or list say.
        cache: of what is fetched from a URL; by default up to 32 GB in the user's cache.

    Raises:
        LightDepthError: nothing there, a fault in it, or a unit for data that is decoded already; MissingSplitError
            where no packaging of the split is found.
    """
    path = Path(path)
    if url_of(path) or (path / PACKED_NAME).is_file():
        _check_open(unit, path)
        return load_packed(path, split, cache=cache)
    listing = _find_listing(path, split)
    if listing is not None:
        if listing.suffix.lower() == ".mat":
            _check_open(unit, path)
            return load_labelled_mat(listing, split)
        load = load_kaggle if listing.suffix.lower() == ".csv" else load_pair_list
        return load(listing, split, missing_ok=missing_ok, unit=unit)
    if not path.is_dir():
        raise LightDepthError(f"No data at {path}{nearest_path(path)}; name a folder of RGB-D pairs or a pair list.")
    # What a list leaves out is not the other split: it may be the same pairs.
    found = None if _is_listed(path) else _load_folder(path, split, unit, missing_ok=missing_ok)
    if found is None:
        raise MissingSplitError(f"No {split} pairs in {path}. {what_is_there(path, split)}")
    return found


def splits_of(path: Path) -> tuple[str, ...]:
    """Name the splits to ask `load_pairs` for: train and test, or "all" for one list and for undivided folders."""
    if path.is_file():
        return _SPLITS if path.suffix.lower() == ".mat" else (UNDIVIDED,)
    if url_of(path) or (path / PACKED_NAME).is_file():
        return packed_splits(path)
    if not path.is_dir() or _is_listed(path) or _split_folder(path, "train"):
        return _SPLITS
    return (UNDIVIDED,) if find_recordings(path, None) else _SPLITS


def _find_listing(path: Path, split: str) -> Path | None:
    """Return the file that names a split's pairs: `path` itself, or what a folder has."""
    if path.is_file():
        return path
    csv_name = f"nyu2_{split}.csv"
    listings = (path / csv_name, path / "data" / csv_name, path / MAT_NAME, path / f"{split}.txt")
    return next((listing for listing in listings if listing.is_file()), None)


def _is_listed(folder: Path) -> bool:
    """Tell whether a folder has a file that names the pairs of any split."""
    return any(_find_listing(folder, split) for split in _SPLITS)


def _load_folder(path: Path, split: str, unit: DepthUnit | None, *, missing_ok: bool) -> PairSet | None:
    """List the recordings of a folder without lists."""
    folder = _split_folder(path, split)
    if folder is None and any(_split_folder(path, name) for name in _SPLITS):
        return None  # divided, but not this split
    recordings = find_recordings(folder or path, unit)
    pairs = [pair for recording in recordings for pair in recording.pairs]
    if not pairs:
        return None
    if not missing_ok:
        check_files(pairs, folder or path)
    kinds = list(dict.fromkeys(recording.kind for recording in recordings))
    rules = list(dict.fromkeys(recording.rule for recording in recordings))
    notes = [
        f"{len(pairs)} pairs in {len(recordings)} {'scene' if len(recordings) == 1 else 'scenes'}: {', '.join(kinds)}, "
        f"matched by {'; '.join(rules)}"
    ]
    if "their order" in rules:
        notes.append("paired by nothing but their order: look at `lightdepth data check DIR --sheet check.png`")
    alone = sum(recording.alone for recording in recordings)
    if alone:
        left = "1 file has no partner and is" if alone == 1 else f"{alone} files have no partner and are"
        notes.append(f"{left} left out")
    unread = sum((recording.unread for recording in recordings), Counter[str]())
    if unread:
        kinds_left = ", ".join(f"{count} {kind}" for kind, count in unread.most_common())
        notes.append(f"files of other kinds beside them are not read: {kinds_left}")
    name = split if folder else UNDIVIDED
    return PairSet(" and ".join(kinds), path, name, pairs, common_camera(pairs), tuple(notes))


def _split_folder(path: Path, split: str) -> Path | None:
    return next((path / name for name in _SPLIT_FOLDERS.get(split, ()) if (path / name).is_dir()), None)


def _check_open(unit: DepthUnit | None, path: Path) -> None:
    """Refuse a unit for depth that is in metres already or carries its own."""
    if unit is not None:
        raise LightDepthError(
            f"{path} says itself what unit its depth has; leave --depth-scale {unit.name} out. If packed data has the "
            "wrong unit, pack it again: `lightdepth data pack DIR --depth-scale UNITS`."
        )
