import json
from contextlib import ExitStack
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from lightdepth.baselines.baseline import Baseline
from lightdepth.checkpoints.checkpoint import build_model, count_parameters, save_checkpoint
from lightdepth.cli.app import app
from lightdepth.compare.candidates import (
    Candidate,
    baseline_candidate,
    open_named_baseline,
)
from lightdepth.compare.compare import compare
from lightdepth.compare.panels import Note, Sigma
from lightdepth.config import check_config
from lightdepth.report.comparison.folder import compare_markdown, compare_panel
from lightdepth_runtime import DepthEstimator, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs, spread_indices

pytestmark = pytest.mark.usefixtures("exported_once")


def candidate(name, predictor, kind="metric", domain="in-domain"):
    return Candidate(name, predictor, kind, 10, "trained", "rooms", domain)


@pytest.fixture
def test_pairs(tum):
    return load_pairs(tum, "test")


@pytest.fixture
def truth_by_image(test_pairs):
    """A predictor that knows the answer, for building others with a known error."""
    answers = {frame.image.tobytes(): frame.depth_m for frame in (pair.read() for pair in test_pairs.pairs)}
    return lambda image: np.where((d := answers[image.tobytes()]) > 0, d, np.float32(1))


@pytest.fixture
def checkpoint(tmp_path):
    config = check_config({"encoder_weights": "none", "image_height": 32, "image_width": 64})
    network = build_model(config).eval()
    spec = ModelSpec("tiny", 32, 64, count_parameters(network), training_data="rooms (pair list, 4 pairs)")
    save_checkpoint(tmp_path / "model.safetensors", network, spec, config)
    return tmp_path / "model.safetensors"


def test_pictures_show_sigma_where_a_model_has_it(test_pairs):
    spec = ModelSpec("fake", 64, 96, 0)
    plain, sure = (
        candidate(name, DepthEstimator(FakeBackend(s)))
        for name, s in (("plain", spec), ("sure", spec.with_changes(sigma_tensor="sigma")))
    )
    for candidates, kinds in (([plain], None), ([plain, sure], [Note, Note, Note, Sigma])):
        comparison, [frame] = compare(candidates, test_pairs, protocol=get_protocol("none"), keep=[1])
        rows = compare_panel(frame, candidates, comparison.base)
        assert len(rows) == (2 if kinds is None else 3)
        if kinds:
            assert [type(picture) for picture in rows[2]] == kinds
            np.testing.assert_allclose(rows[2][3].sigma, 0.1 * frame.predictions["sure"], rtol=1e-5)


def test_a_metric_model_is_scored_under_three_alignments_in_one_pass(test_pairs, truth_by_image):
    calls = []

    def twice(image):
        calls.append(1)
        return 2 * truth_by_image(image)

    (twice,) = compare([candidate("twice", twice)], test_pairs)[0].models
    assert len(calls) == len(test_pairs)
    by_alignment = {protocol.alignment: twice.metrics(protocol) for protocol in twice.scores}
    assert by_alignment["none"].abs_rel == pytest.approx(1.0)
    assert by_alignment["median"].rmse_m == pytest.approx(0.0, abs=1e-5)
    assert by_alignment["scale-shift"].rmse_m == pytest.approx(0.0, abs=1e-5)


def test_a_relative_model_is_scored_under_scale_and_shift_alone(test_pairs, truth_by_image):
    relative = candidate("relative", lambda image: 4 / truth_by_image(image) + 3, "relative-inverse")
    (model,) = compare([relative], test_pairs)[0].models
    (protocol,) = model.scores
    assert protocol.alignment == "scale-shift"
    assert model.metrics(protocol).rmse_m == pytest.approx(0.0, abs=1e-4)


def test_winners_exist_only_inside_one_protocol(test_pairs, truth_by_image):
    good = candidate("good", lambda image: truth_by_image(image) * np.float32(1.1))
    relative = candidate("relative", lambda image: np.sqrt(1 / truth_by_image(image)), "relative-inverse")
    comparison, _ = compare([relative, good], test_pairs)
    winners = comparison.winners()
    assert [identity for identity in winners if "align-scale-shift" in identity] == list(winners)
    assert set(next(iter(winners.values())).values()) == {"good"}


def test_the_winner_has_the_least_error_and_the_largest_delta(test_pairs, truth_by_image):
    good = candidate("good", lambda image: truth_by_image(image) * np.float32(1.1))
    bad = candidate("bad", lambda image: truth_by_image(image) * np.float32(1.6))
    comparison, _ = compare([bad, good], test_pairs)
    raw = comparison.winners()[comparison.protocols()[0].id]
    assert (raw["rmse_m"], raw["delta1"]) == ("good", "good")


def test_the_mirror_image_is_predicted_once_for_all_alignments(test_pairs, truth_by_image):
    calls = []

    def flat(image):
        calls.append(image)
        return np.full(image.shape[:2], 2, np.float32)

    comparison, _ = compare([candidate("flat", flat)], test_pairs, protocol=get_protocol("densedepth"))
    assert len(calls) == 2 * len(test_pairs)
    assert {protocol.averaging for protocol in comparison.protocols()} == {"pooled"}


def test_the_report_names_ranges_scenes_images_and_intervals(test_pairs, truth_by_image):
    good = candidate("good", lambda image: truth_by_image(image) * np.float32(1.1))
    comparison, _ = compare([good], test_pairs)
    text = compare_markdown(comparison)
    assert "95 % bootstrap interval over images" in text
    assert "| 1 to 2 m |" in text
    assert test_pairs.pairs[0].scene in text
    assert test_pairs.pairs[0].name in text
    assert text.index("none (raw metres)") < text.index("Alignment: median")


def test_a_tie_has_no_winner(test_pairs, truth_by_image):
    comparison, _ = compare([candidate("a", truth_by_image), candidate("b", truth_by_image)], test_pairs)
    assert all(not best for best in comparison.winners().values())


def test_an_untrained_model_shows_no_accuracy(test_pairs, truth_by_image):
    comparison, frames = compare([candidate("fresh", truth_by_image, domain="untrained")], test_pairs, keep=[0])
    (row,) = comparison.to_dict()["rows"]
    assert row["protocol"] is None
    assert row["rmse_m"] is None
    assert row["latency_ms_p50"] > 0
    assert frames[0].predictions == {}
    assert "not shown" in compare_markdown(comparison)


def test_every_scored_row_carries_its_protocol_id(test_pairs, truth_by_image):
    comparison, _ = compare([candidate("a", truth_by_image)], test_pairs)
    rows = json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["rows"]
    assert len({row["protocol"]["id"] for row in rows}) == 3
    text = compare_markdown(comparison)
    assert all(row["protocol"]["id"] in text for row in rows)


def test_pictures_are_spread_from_the_first_to_the_last():
    assert spread_indices(654, 5) == [0, 163, 326, 490, 653]
    assert spread_indices(2, 5) == [0, 1]
    assert spread_indices(3, 0) == []


@pytest.mark.slow
def test_the_command_compares_offline_and_writes_tables_and_pictures(checkpoint, tiny_depth_anything, tum, tmp_path):
    output = tmp_path / "output"
    arguments = ["compare", str(checkpoint), "--data", str(tum), "--against-weights", str(tiny_depth_anything)]
    arguments += ["--visualize", "1", "--output", str(output), "--device", "cpu", "--threads", "1"]
    answer = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert answer.exit_code == 0
    assert sorted(path.name for path in output.iterdir()) == ["compare.json", "compare.md", "panel_01.png"]
    result = json.loads((output / "compare.json").read_text())
    assert result["schema"] == "lightdepth.compare/1"
    kinds = [(row["kind"], row["protocol"]["alignment"]) for row in result["rows"]]
    assert kinds == [
        ("relative-inverse", "scale-shift"), ("metric", "none"), ("metric", "median"), ("metric", "scale-shift")
    ]  # fmt: skip
    assert "panel_01.png" in (output / "compare.md").read_text()


@pytest.mark.slow
def test_a_random_baseline_is_timed_and_not_scored(tiny_depth_anything, test_pairs):
    with Baseline(str(tiny_depth_anything), threads=1) as baseline:
        object.__setattr__(baseline.model, "weights", "random")  # as the full-size one is, which takes a minute
        comparison, _ = compare([baseline_candidate(baseline)], test_pairs)
    assert [model.scores for model in comparison.models] == [{}]


@pytest.mark.slow
def test_a_pair_without_ground_truth_is_left_out_of_scores_and_pictures(
    checkpoint, tiny_depth_anything, tum_copy, tmp_path
):

    depth = sorted(load_pairs(tum_copy, "test").pairs, key=lambda pair: pair.name)[-1].depth_path
    cv2.imwrite(str(depth), np.zeros((120, 160), np.uint16))
    output = tmp_path / "output"
    arguments = ["compare", str(checkpoint), "--data", str(tum_copy), "--against-weights", str(tiny_depth_anything)]
    answer = CliRunner().invoke(app, [*arguments, "--output", str(output), "--threads", "1"], catch_exceptions=False)
    assert answer.exit_code == 0
    assert [path.name for path in output.glob("*.png")] == ["panel_01.png"]
    assert all(row["rmse_m"] > 0 for row in json.loads((output / "compare.json").read_text())["rows"])
    assert {row["backend"] for row in json.loads((output / "compare.json").read_text())["rows"]} == {"onnxruntime cpu"}


@pytest.mark.slow
def test_models_named_twice_over_and_a_baseline_with_its_spec_in_its_file_are_compared(
    checkpoint, tiny_depth_anything, tum, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    with Baseline(str(tiny_depth_anything), threads=1) as baseline:
        frame = load_pairs(tum, "test").pairs[0].read().image
        Path("tiny.onnx").write_bytes(baseline.export(*frame.shape[:2]).read_bytes())
    arguments = ["compare", "lite0", str(checkpoint), "tiny.onnx", "--data", str(tum), "--device", "cpu"]
    answer = CliRunner().invoke(app, [*arguments, "--threads", "1", "--visualize", "0"], catch_exceptions=False)
    assert answer.exit_code == 0
    rows = json.loads(Path("output/compare-1/compare.json").read_text())["rows"]
    assert len({row["model"] for row in rows}) == 3
    assert len(rows) == 3 + 3 + 1


def blank(pair):
    cv2.imwrite(str(pair.depth_path), np.zeros((120, 160), np.uint16))


def test_a_pair_without_a_reading_is_left_out_and_counted(tum_copy, truth_by_image):
    pairs = load_pairs(tum_copy, "test")
    whole, _ = compare([candidate("a", lambda image: truth_by_image(image) * 2)], pairs.subset([0], "test"))
    blank(pairs.pairs[1])
    comparison, frames = compare([candidate("a", lambda image: truth_by_image(image) * 2)], pairs, keep=[0, 1])
    assert (comparison.samples, comparison.left_out, len(frames)) == (1, 1, 1)
    assert comparison.models[0].scores == whole.models[0].scores
    assert comparison.to_dict()["left_out"] == 1
    assert comparison.to_dict()["machine"]["cpu"]
    assert "1 without valid depth left out" in compare_markdown(comparison)


def test_pairs_without_any_ground_truth_are_refused(tum_copy, truth_by_image):
    pairs = load_pairs(tum_copy, "test")
    for pair in pairs.pairs:
        blank(pair)
    with pytest.raises(LightDepthError, match="None of the 2 pairs of tum has valid depth"):
        compare([candidate("a", truth_by_image)], pairs)


def test_the_baseline_runs_on_the_device_that_is_asked_for(tiny_depth_anything, test_pairs):
    with ExitStack() as stack:
        weights = str(tiny_depth_anything)
        opened = open_named_baseline(stack, "depth-anything-v2-small", weights, "openvino", 1)
        comparison, _ = compare([opened], test_pairs)
    assert {model.backend for model in comparison.models} == {"openvino cpu"}
