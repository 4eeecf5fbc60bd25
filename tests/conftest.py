"""Fixtures shared by all tests: a few real pairs, and copies of them in every packaging."""

import csv
import shutil
from pathlib import Path

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from lightdepth_runtime.pairs import load_pairs

TUM = Path(__file__).parent / "data" / "tum"


@pytest.fixture
def tum():
    """The folder of six real TUM RGB-D pairs, 160x120, as pair lists (train 4, test 2). Read only."""
    return TUM


@pytest.fixture
def tum_copy(tmp_path):
    """A copy of the same that a test may damage."""
    return Path(shutil.copytree(TUM, tmp_path / "tum"))


def _write_kaggle(folder, *, level=True, csv_inside=False):
    """Write the pairs as Kaggle/DenseDepth does: 8-bit training depth (255 = 10 m), 16-bit test depth in mm."""
    root = folder / "data" if level else folder
    root.mkdir(parents=True)
    for split in ("train", "test"):
        rows = []
        for number, pair in enumerate(load_pairs(TUM, split).pairs):
            frame = pair.read()
            if split == "train":
                stem = f"nyu2_train/{pair.scene}_out/{number}"
                color, depth = f"{stem}.jpg", f"{stem}.png"
                values = np.floor(frame.depth_m * 25.5).clip(0, 255).astype(np.uint8)
            else:
                stem = f"nyu2_test/{number:05d}"
                color, depth = f"{stem}_colors.png", f"{stem}_depth.png"
                values = np.rint(frame.depth_m * 1000).astype(np.uint16)
            (root / color).parent.mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / color), frame.image[:, :, ::-1])
            cv2.imwrite(str(root / depth), values)
            rows.append((f"data/{color}", f"data/{depth}"))
        with (root if csv_inside else folder).joinpath(f"nyu2_{split}.csv").open("w", newline="") as file:
            csv.writer(file).writerows(rows)
    return folder


def _write_mat(folder, *, scenes=True):
    """Write the pairs as the official download: MATLAB v7.3 (arrays stand transposed), splits that count from 1."""
    folder.mkdir(parents=True)
    train, test = (load_pairs(TUM, split).pairs for split in ("train", "test"))
    pairs = [*train, *test]
    frames = [pair.read() for pair in pairs]
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.stack([frame.image.transpose(2, 1, 0) for frame in frames])  # (N, 3, W, H)
        file["depths"] = np.stack([frame.depth_m.T for frame in frames])  # (N, W, H)
        if scenes:
            references = file.create_dataset("scenes", (1, len(pairs)), h5py.ref_dtype)
            for number, pair in enumerate(pairs):
                text = file.create_dataset(f"#refs#/{number}", data=np.array([[ord(c)] for c in pair.scene], np.uint16))
                references[0, number] = text.ref
    indices = np.arange(1, len(pairs) + 1, dtype=np.uint16)[:, None]
    savemat(folder / "splits.mat", {"trainNdxs": indices[: len(train)], "testNdxs": indices[len(train) :]})
    return folder


@pytest.fixture
def write_kaggle():
    """The function that writes the pairs in the Kaggle/DenseDepth packaging."""
    return _write_kaggle


@pytest.fixture
def write_mat():
    """The function that writes the pairs as the official labelled set."""
    return _write_mat
