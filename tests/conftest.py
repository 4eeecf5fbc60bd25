"""Fixtures shared by all tests: a few real pairs, and copies of them in every packaging."""

import importlib.util
import os
import shutil
from pathlib import Path

import packagings
import pytest

# What may be missing on a machine that has what the `dev` extras bring. Any other skip fails the run: a test that never
# runs proves nothing.
EXPECTED_SKIPS = (
    "GPU",
    "CUDA",
    "cuda-bindings",
    "rerun-sdk",
    "TensorRT-RTX",  # x86-64 alone
    "LIGHTDEPTH_TENSORRT_BINDINGS",
    "No engine can be built here",
    "may build an engine",
    "no C compiler",
    "no chromium",
    "root may write everywhere",
)
_unexpected_skips = []


def pytest_runtest_logreport(report):
    """Note skips whose reason is not expected."""
    if report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(words in reason for words in EXPECTED_SKIPS):
            _unexpected_skips.append(f"{report.nodeid}: {reason}")


def pytest_collectreport(report):
    """Note whole files that are skipped."""
    if report.skipped:
        pytest_runtest_logreport(report)


def pytest_sessionfinish(session):
    """Fail a run that skipped what it should have run; where the runtime is tested alone, less is installed."""
    if _unexpected_skips and session.exitstatus == 0 and importlib.util.find_spec("torch"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter):
    """Name the unexpected skips."""
    for line in _unexpected_skips:
        terminalreporter.write_line(f"unexpected skip: {line}", red=True)


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
