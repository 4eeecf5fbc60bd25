"""Worker processes change no score and no picture."""

import numpy as np

from lightdepth.compare import run as compare_run
from lightdepth.compare.compare import Candidate, compare
from lightdepth_runtime.pairs import load_pairs


def brightness(image):
    return 1 + image[..., 0].astype(np.float32) / 64


def test_several_processes_compare_as_one_to_the_bit(tum, monkeypatch):
    monkeypatch.setattr(compare_run, "FRAMES_FOR_LATENCY", 1)  # the others are scored in workers
    pairs = load_pairs(tum, "train")
    candidates = [
        Candidate("bright", brightness, "metric", 0, "none", "nothing", "zero-shot"),
        Candidate("relative", brightness, "relative-inverse", 0, "none", "nothing", "zero-shot"),
        Candidate("fresh", brightness, "metric", 0, "random", "nothing", "untrained"),
    ]
    (one, shown), (two, also) = (compare(candidates, pairs, keep=[0, 2], workers=workers) for workers in (1, 2))
    assert [row.scores for row in one.rows] == [row.scores for row in two.rows]
    assert len(one.rows) == 5
    assert [frame.name for frame in shown] == [frame.name for frame in also] == [pairs.pairs[i].name for i in (0, 2)]
    assert np.array_equal(shown[1].predictions["bright"], also[1].predictions["bright"])
