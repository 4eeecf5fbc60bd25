"""The GPU check tried on the CPU: it ends, says what is missing, and writes a page."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "benchmarks" / "gpu_check.py"


def check(folder, *arguments):
    run = subprocess.run(
        [sys.executable, PROGRAM, "-o", folder, *arguments], capture_output=True, text=True, timeout=250, check=True
    )
    return run.stdout, json.loads((folder / "gpu_check.json").read_text()), (folder / "gpu_check.md").read_text()


@pytest.mark.slow
def test_it_runs_its_parts_and_writes_them_as_json_and_as_a_page(tmp_path):
    said, result, page = check(tmp_path, "--smoke", "--part", "call,environment")
    assert {name: part["status"] for name, part in result["parts"].items()} == dict.fromkeys(
        ("environment", "files", "call"), "done"
    ), "files comes to those that need it"
    assert result["parts"]["call"]["rows"]["lite0.frame.onnx"]["call_ms_p50"] > 0
    assert "the figures mean nothing" in page
    assert "| lite0.fp16.onnx |" in page
    assert "call: done" in said


@pytest.mark.slow
def test_a_part_that_fails_is_told_in_its_words_and_the_others_go_on(tmp_path):
    (tmp_path / "lite0.onnx").write_bytes(b"no network")
    _, result, page = check(tmp_path / "out", "--smoke", "--part", "call,environment", "--files", tmp_path)
    assert "failed with exit code 1: Error:" in result["parts"]["call"]["status"]
    assert "lite0.onnx can't be opened by ONNX Runtime" in page
    assert result["parts"]["environment"]["status"] == "done"


def test_what_the_time_does_not_suffice_for_is_left_out(tmp_path):
    _, result, page = check(tmp_path, "--smoke", "--part", "environment,call", "--minutes", "0.01")
    assert all(part["status"].startswith("left out: the time is up") for part in result["parts"].values())
    assert "left out" in page


def test_an_unknown_part_is_a_wrong_argument(tmp_path):
    run = subprocess.run([sys.executable, PROGRAM, "--part", "games"], capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "'games' is none of environment" in run.stderr


def test_every_test_that_needs_a_gpu_is_in_a_file_that_the_check_runs():
    """The check imports no other file, since packages that only those need may be missing on the machine."""
    marked = [path for path in ROOT.joinpath("tests").rglob("test_*.py") if "pytest.mark." + "gpu" in path.read_text()]
    assert {path.name for path in marked} == {"test_gpu.py"}
