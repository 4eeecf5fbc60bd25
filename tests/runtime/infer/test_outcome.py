"""Counts of a stream that never ends stay right, and small."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.frame import Frame
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.infer.outcome import MOST_PATHS, Outcome
from lightdepth_runtime.sinks.sink import FrameSink


def test_files_are_all_counted_and_the_first_named():
    outcome = Outcome()
    for number in range(MOST_PATHS):
        outcome.frames += 1
        outcome.wrote([Path(f"{number}.png"), Path(f"{number}.npy")])
    assert outcome.files == 2 * MOST_PATHS
    assert outcome.paths[-1] == Path(f"{MOST_PATHS // 2 - 1}.npy")
    outcome.check("frames")


def test_failures_are_all_counted_and_the_first_named():
    outcome = Outcome()
    outcome.frames = 7
    for name in "abcde":
        outcome.left_out(name, LightDepthError(name))
    with pytest.raises(LightDepthError, match=r"5 of 7 frames failed \(a, b, c and 2 more\); the depth of the others"):
        outcome.check("frames")


class Counting(FrameSink):
    """Says that it wrote a file for each frame."""

    def write(self, done):
        return [Path(f"{done.frame.name}.npy")]

    def abort(self):
        raise AssertionError("Nothing failed here.")


def test_a_long_stream_with_many_bad_frames_needs_no_more_memory_than_a_short_one():
    estimator = DepthEstimator(FakeBackend(ModelSpec(name="fake", input_height=32, input_width=32, parameters=0)))

    def frames(count):
        for number in range(count):
            dtype = np.float32 if number % 2 else np.uint8
            yield Frame(np.zeros((32, 32, 3), dtype), number, str(number))

    def peak_bytes(count):
        tracemalloc.start()
        with pytest.raises(LightDepthError, match=f"{count // 2} of {count} frames failed"):
            infer_stream(estimator, frames(count), [Counting()])
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(2000)  # what is imported and cached on first use; Python's table of interned names grows in steps of MB
    assert peak_bytes(2000) < peak_bytes(100) + 500_000  # each kept frame would be 12 kB
