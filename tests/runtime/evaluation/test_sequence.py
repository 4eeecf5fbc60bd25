from pathlib import Path

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, FakeBackend, LightDepthError, ModelSpec, load_pairs
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.evaluation.sequence import evaluate_sequence, flicker

TUM = Path(__file__).parents[2] / "data" / "tum"
TRUTH_M = np.full((20, 30), 2.0, np.float32)


def test_flicker_is_the_mean_change_where_the_truth_stood_still():
    newer = TRUTH_M * np.float32(np.exp(0.05))
    assert flicker((TRUTH_M, newer), (TRUTH_M, TRUTH_M)) == pytest.approx(0.05, abs=1e-6)
    assert flicker((TRUTH_M, TRUTH_M), (TRUTH_M, TRUTH_M)) == 0


def test_a_change_that_the_truth_shares_is_no_flicker():
    factor = np.float32(1.01)
    assert flicker((TRUTH_M, TRUTH_M * factor), (TRUTH_M, TRUTH_M * factor)) == pytest.approx(0, abs=1e-6)


def test_what_moved_or_has_no_reading_does_not_count():
    newer_truth_m, newer_m = TRUTH_M.copy(), TRUTH_M.copy()
    newer_truth_m[:5], newer_m[:5] = 3.0, 9.0
    newer_truth_m[5:8], newer_m[5:8] = 0.0, 9.0
    assert flicker((TRUTH_M, newer_m), (TRUTH_M, newer_truth_m)) == 0
    assert flicker((TRUTH_M, TRUTH_M), (TRUTH_M, TRUTH_M * 2)) is None


def test_what_changes_at_an_edge_of_the_truth_does_not_count_unless_asked_for():
    truth_m, newer_m = TRUTH_M.copy(), TRUTH_M.copy()
    truth_m[:, 15:] = 3.0
    newer_m[:, 14:16] = 2.5  # a soft edge that came by
    assert flicker((TRUTH_M, newer_m), (truth_m, truth_m)) == 0
    assert flicker((TRUTH_M, newer_m), (truth_m, truth_m), with_edges=True) == pytest.approx(np.log(1.25) * 2 / 30)


def test_a_sequence_is_scored_plain_and_steady():
    estimator = DepthEstimator(FakeBackend(ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)))
    pairs = load_pairs(TUM, "train")
    result = evaluate_sequence(estimator, pairs, get_protocol("none"))
    assert result.frames == len(pairs.pairs)
    assert 0 < result.transitions < result.frames
    assert result.to_dict()["schema"] == "lightdepth.sequence/1"
    assert result.plain.abs_rel > 0
    assert 0 < result.plain.flicker != result.plain.flicker_with_edges
    assert result.resets >= 2  # two scenes


def test_frames_that_do_not_follow_each_other_are_refused():
    estimator = DepthEstimator(FakeBackend(ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)))
    pairs = load_pairs(TUM, "train").spread(1)
    with pytest.raises(LightDepthError, match="follow each other"):
        evaluate_sequence(estimator, pairs, get_protocol("none"))
