"""Worker processes change no score and no picture; depth is scaled to the pairs' camera as `eval` does it."""

import numpy as np

from lightdepth.compare import run as compare_run
from lightdepth.compare.candidates import Candidate
from lightdepth.compare.compare import compare
from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import ProtocolParts, choose_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import Intrinsics


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
    assert [model.scores for model in one.models] == [model.scores for model in two.models]
    assert [len(model.scores) for model in one.models] == [3, 1, 0]
    assert [frame.name for frame in shown] == [frame.name for frame in also] == [pairs.pairs[i].name for i in (0, 2)]
    assert np.array_equal(shown[1].predictions["bright"], also[1].predictions["bright"])


def test_depth_is_scaled_to_the_camera_of_each_pair_as_in_an_evaluation(tum_copy):
    rows = (tum_copy / "train.txt").read_text()
    (tum_copy / "own.txt").write_text("# intrinsics: 200 200 79.5 59.5 160 120\n" + rows)
    pairs = load_pairs(tum_copy / "own.txt", "train")
    backend = FakeBackend()
    backend.spec = backend.spec.with_changes(intrinsics=Intrinsics(100, 100, 79.5, 59.5, 160, 120))
    estimator, on = DepthEstimator(backend), choose_protocol("none", ProtocolParts(focal=True))
    candidates = [
        Candidate("ours", estimator, "metric", 0, "trained", "rooms", "zero-shot"),
        Candidate("bright", brightness, "metric", 0, "trained", "rooms", "zero-shot"),
    ]
    comparison, _ = compare(candidates, pairs, protocol=on)
    ours, bright = comparison.models
    assert ours.scores[on] == evaluate(estimator, pairs, on, model="ours").scores
    assert ours.metrics(on) != evaluate(estimator, pairs, choose_protocol("none"), model="ours").metrics
    assert (ours.focal_unknown, bright.focal_unknown) == (0, len(pairs))
    assert [row["focal_unknown"] for row in ours.rows()] == [0, 0, 0]
    [note] = comparison.notes()
    assert note.startswith(f"bright: {len(pairs)} of {len(pairs)} pairs")
