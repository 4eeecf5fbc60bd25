"""The training loop that a student reads runs, learns and stays short."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "minimal_train.py"
DEMO_DATA = Path(__file__).parents[2] / "lightdepth" / "demo_data"


@pytest.mark.slow
def test_it_learns_from_the_demo_pairs_and_writes_weights(tmp_path):
    weights = tmp_path / "minimal.pt"
    command = [sys.executable, EXAMPLE, DEMO_DATA, "--epochs", "2", "--output", weights]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)
    losses = [float(text) for text in re.findall(r"loss ([\d.]+)", done.stdout)]
    assert losses[1] < losses[0]
    assert re.search(r"8 test pairs: RMSE [\d.]+ m", done.stdout)
    assert weights.stat().st_size > 50_000_000  # 14,330,369 float32


def test_it_can_be_read_in_one_sitting():
    assert len(EXAMPLE.read_text().splitlines()) <= 150
