"""NYU Depth V2's official labelled set: `nyu_depth_v2_labeled.mat` (MATLAB v7.3, HDF5) and `splits.mat`."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics
from .pair import FrameData, PairSet, fit_color

if TYPE_CHECKING:
    import h5py

__all__ = ["MAT_NAME", "NYU_INTRINSICS", "MatPair", "load_labelled_mat"]

MAT_NAME = "nyu_depth_v2_labeled.mat"
SPLITS_NAME = "splits.mat"
_MISSING = "The .mat packaging needs h5py and scipy; install them with: pip install h5py scipy"
_SPLIT_VARIABLES = {"train": "trainNdxs", "test": "testNdxs"}
# camera_params.m of the official toolbox, colour camera, 640x480.
NYU_INTRINSICS = Intrinsics(518.858, 519.470, 325.582, 253.736, 640, 480)
# Without scene names, neighbours in the file (one scene is contiguous there) are kept together in blocks.
FRAMES_PER_BLOCK = 20


@dataclass(frozen=True)
class MatPair:
    """One labelled frame: in-painted depth (`depths`), dense and in metres."""

    name: str
    scene: str
    mat_path: Path
    index: int

    @property
    def depth_unit(self) -> str:
        """Name the unit that the official file is in."""
        return "metres"

    @property
    def intrinsics(self) -> Intrinsics:
        """Return the camera of all images."""
        return NYU_INTRINSICS

    def read(self) -> FrameData:
        """Decode one frame; MATLAB stores it as (3, W, H) and (W, H)."""
        file = _open_mat(self.mat_path)
        with _faults_named(f"{self.mat_path}, image {self.index}: can't be read"):
            image = np.asarray(_variable(file, "images")[self.index], np.uint8)  # (3, W, H)
            depth_m = np.asarray(_variable(file, "depths")[self.index], np.float32)  # (W, H)
        # (3, W, H) -> (H, W, 3) and (W, H) -> (H, W)
        image, depth_m = np.ascontiguousarray(image.transpose(2, 1, 0)), np.ascontiguousarray(depth_m.T)
        return FrameData(fit_color(image, depth_m, f"{self.mat_path}, image {self.index}"), depth_m)


def load_labelled_mat(mat_path: Path, split: str) -> PairSet:
    """List the frames of one official split; indices in `splits.mat` count from 1.

    `mat_path` is the file of images and depths, under any name; `splits.mat` stands beside it.

    Raises:
        LightDepthError: `splits.mat` missing, a damaged file, an unknown split, or h5py and scipy not installed.
    """
    folder, splits_path = mat_path.parent, mat_path.with_name(SPLITS_NAME)
    if not splits_path.is_file():
        raise LightDepthError(
            f"{folder} has {mat_path.name} but no {SPLITS_NAME}; download it from the same page, it says which images "
            "are test."
        )
    indices = _read_split(splits_path, split)
    file = _open_mat(mat_path)
    with _faults_named(f"{mat_path} is not the official labelled file"):
        count = min(len(_variable(file, "images")), len(_variable(file, "depths")))
        scenes = _read_scenes(file)
    if len(indices) == 0 or indices.min() < 0 or indices.max() >= count:
        raise LightDepthError(
            f"{splits_path} names images outside {mat_path} (it has {count}); the two files don't belong together."
        )
    pairs = [
        MatPair(f"{i:05d}", scenes[i] if scenes else f"frames-{i // FRAMES_PER_BLOCK:04d}", mat_path, int(i))
        for i in indices
    ]
    return PairSet("labelled mat", folder, split, pairs, NYU_INTRINSICS)


@contextmanager
def _faults_named(what: str) -> Generator[None, None, None]:
    """Turn whatever a parser raises, each stumbles in its own ways over damaged files, into one sentence."""
    try:
        yield
    except Exception as error:
        raise LightDepthError(f"{what} ({error}). Download it again.") from error


def _read_split(path: Path, split: str) -> NDArray[np.int64]:
    """Return the 0-based indices of a split."""
    try:
        from scipy.io import loadmat
    except ImportError as error:
        raise LightDepthError(_MISSING) from error
    if split not in _SPLIT_VARIABLES:
        raise LightDepthError(
            f"The official labelled set has the splits {' and '.join(_SPLIT_VARIABLES)}, not {split!r}."
        )
    with _faults_named(f"{path} can't be read as the official splits file"):
        return loadmat(path)[_SPLIT_VARIABLES[split]].astype(np.int64).ravel() - 1


@lru_cache(maxsize=4)
def _open_mat(path: Path) -> h5py.File:
    """Open once per process: opening costs more than reading a frame."""
    try:
        import h5py
    except ImportError as error:
        raise LightDepthError(_MISSING) from error
    with _faults_named(f"{path} can't be opened as MATLAB v7.3, as the labelled set {MAT_NAME} is"):
        return h5py.File(path, "r")


def _variable(file: h5py.File, name: str) -> h5py.Dataset:
    """Return a MATLAB array; a LookupError says that there is none of that name."""
    import h5py

    found = file.get(name)
    if not isinstance(found, h5py.Dataset):
        raise LookupError(f"no array {name!r}")
    return found


def _read_scenes(file: h5py.File) -> list[str]:
    """Return each image's scene name, or nothing where the file has no names (a cell array of UTF-16 strings)."""
    if "scenes" not in file:
        return []
    return ["".join(map(chr, np.asarray(file[reference]).ravel())) for reference in np.asarray(file["scenes"]).ravel()]
