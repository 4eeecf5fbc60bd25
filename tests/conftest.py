"""Fixtures shared by all tests: a few real pairs, and copies of them in every packaging."""

import os
import shutil
from pathlib import Path

import packagings
import pytest


def pytest_configure(config):
    """Hide the GPUs from all tests but those of `-m gpu`: the others compute on the CPU, on any machine."""
    if config.getoption("markexpr", "") != "gpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""


@pytest.fixture
def tum():
    """The folder of six real TUM RGB-D pairs, 160x120, as pair lists (train 4, test 2). Read only."""
    return packagings.TUM


@pytest.fixture
def tum_copy(tmp_path):
    """A copy of the same that a test may damage."""
    return Path(shutil.copytree(packagings.TUM, tmp_path / "tum"))


@pytest.fixture
def write_kaggle():
    """The function that writes the pairs in the Kaggle/DenseDepth packaging."""
    return packagings.write_kaggle


@pytest.fixture
def write_mat():
    """The function that writes the pairs as the official labelled set."""
    return packagings.write_mat


@pytest.fixture
def write_bag():
    """The function that records the pairs as ROS 1 or ROS 2 does."""
    return packagings.write_bag
