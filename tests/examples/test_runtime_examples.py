"""The examples run as a user runs them, and end with a sentence where they can't."""

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)


def test_an_image_gives_its_size_and_metres(tum):
    image = next(tum.rglob("*_rgb.jpg"))
    done = run("embed.py", image)
    assert done.returncode == 0, done.stderr
    assert " pixels, " in done.stdout
    assert done.stdout.endswith(" m\n")


def test_without_an_image_the_example_says_how_it_is_called():
    done = run("embed.py")
    assert (done.returncode, done.stdout) == (1, "")
    assert "python embed.py IMAGE" in done.stderr


@pytest.mark.parametrize("source", ["camera:63", "nosuch.mp4"])
def test_the_loop_ends_with_one_sentence_where_there_is_no_camera(source):
    done = run("camera_loop.py", source)
    assert (done.returncode, done.stdout) == (1, "")
    [line] = [line for line in done.stderr.splitlines() if not line.startswith("[")]  # OpenCV's own begin with [
    assert line.startswith("Error: ")
    assert source in line
