import json
from dataclasses import replace

import numpy as np
import pytest

from lightdepth_export.onnx.fp16_simulation import OverflowMargin
from lightdepth_export.parity.compare import check_parity
from lightdepth_export.parity.gate import ParityReport, ParityThresholds, gate
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.parallel import Workers

THRESHOLDS = ParityThresholds()


class Altered(FakeBackend):
    """The fake's answer, changed by a function."""

    def __init__(self, change, precision="fp32"):
        super().__init__(FakeBackend().spec.with_changes(precision=precision))
        self.change = change

    def run(self, batch):
        return self.change(super().run(batch)).astype(np.float32)


def measure(change, frames, precision="fp32"):
    return check_parity(FakeBackend(), {"step": Altered(change, precision)}, frames)[0]


def test_distances_are_those_of_the_outputs(frames):
    def worse(depth):
        depth = depth * 1.01
        depth[0, 0, 0, 0] += 0.5
        return depth

    step = measure(worse, frames)
    outputs = np.concatenate([FakeBackend().run(preprocess(f.image, FakeBackend().spec)[None]) for f in frames])
    difference = np.abs(np.concatenate([worse(o[None].copy()) for o in outputs]) - outputs)
    assert step.max_abs_diff_m == pytest.approx(difference.max(), rel=1e-5)
    assert step.mean_abs_diff_m == pytest.approx(difference.mean(), rel=1e-5)
    assert step.abs_rel == pytest.approx((difference / outputs).mean(), rel=1e-5)
    assert step.images == len(frames)


def test_workers_measure_what_one_process_measures(frames):
    candidates = {"a": Altered(lambda depth: depth * 1.01), "b": FakeBackend()}
    alone = check_parity(FakeBackend(), candidates, frames)
    with Workers(2) as pool:
        assert check_parity(FakeBackend(), candidates, frames, pool=pool) == alone


def test_equal_outputs_pass_with_zero_distance(frames):
    step = measure(lambda depth: depth, frames)
    assert (step.max_abs_diff_m, step.abs_rel, step.rmse_change) == (0, 0, 0)
    gate(step, THRESHOLDS)


def test_metric_changes_are_candidate_minus_reference(frames):
    step = measure(lambda depth: depth + 0.1, frames)
    reference, candidate = step.reference_metrics, step.candidate_metrics
    assert step.metric_changes()["mae_m"] == pytest.approx(candidate.mae_m - reference.mae_m)
    assert set(step.metric_changes()) == set(reference.to_dict())
    assert step.rmse_change == pytest.approx(abs(candidate.rmse_m / reference.rmse_m - 1))


def test_fp32_past_its_distance_fails_and_names_figure_and_threshold(frames):
    step = measure(lambda depth: depth + 0.002, frames)
    with pytest.raises(LightDepthError, match=r"step: max_abs_diff_m is 0\.002 m .* threshold of 0\.001 m"):
        gate(step, THRESHOLDS)
    gate(step, ParityThresholds(fp32_max_abs_diff_m=0.01))


@pytest.mark.parametrize(("precision", "limit"), [("fp16", "0.005"), ("int8", "0.02")])
def test_lower_precision_is_held_to_the_change_of_rmse(frames, precision, limit):
    gate(measure(lambda depth: depth * 1.001, frames, precision), THRESHOLDS)
    with pytest.raises(LightDepthError, match=f"step: rmse_change is .* threshold of {limit}"):
        gate(measure(lambda depth: depth * 1.2, frames, precision), THRESHOLDS)


def test_without_ground_truth_lower_precision_is_held_to_abs_rel(make_frames):
    frames = make_frames(truth=False)
    step = measure(lambda depth: depth * 1.01, frames, "fp16")
    assert step.rmse_change is None
    assert step.metric_changes() is None
    with pytest.raises(LightDepthError, match=r"step: abs_rel is 0\.01 .* threshold of 0\.005"):
        gate(step, THRESHOLDS)
    gate(measure(lambda depth: depth * 1.001, frames, "fp16"), THRESHOLDS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_one_bad_value_is_counted_and_fails(frames, value):
    def spoil(depth):
        depth[0, 0, 3, 5] = value
        return depth

    step = measure(spoil, frames, "fp16")
    assert step.not_finite == len(frames)
    assert step.candidate_metrics is None
    with pytest.raises(LightDepthError, match="3 depth values are NaN or infinite"):
        gate(step, THRESHOLDS)


def test_a_reference_that_is_not_finite_is_not_blamed_on_the_export(frames):
    with pytest.raises(LightDepthError, match="the checkpoint itself"):
        check_parity(Altered(lambda depth: depth * np.nan), {"step": FakeBackend()}, frames)


def test_an_overflowing_activation_fails_and_is_named(frames):
    step = replace(measure(lambda depth: depth, frames, "fp16"), overflow=OverflowMargin(7e4, "relu_3", 1))
    with pytest.raises(LightDepthError, match="relu_3 reaches 70000"):
        gate(step, THRESHOLDS)
    gate(replace(step, overflow=OverflowMargin(6e4, "relu_3", 1)), THRESHOLDS)


def test_another_output_shape_is_an_error(frames):
    with pytest.raises(LightDepthError, match="the exported model answers"):
        measure(lambda depth: depth[:, :, ::2], frames)


class FrameModel(FakeBackend):
    """Takes the frame itself, and answers as the fake with the runtime's pre- and post-processing would."""

    def __init__(self, height, width, change=lambda depth: depth):
        super().__init__(FakeBackend().spec.with_changes(frame_height=height, frame_width=width))
        self.change = change

    def run(self, batch):
        return self.change(DepthEstimator(FakeBackend())(batch[0])[None])


def test_embedded_preprocessing_is_compared_at_the_frames_size(frames):
    step = check_parity(FakeBackend(), {"a": FrameModel(120, 160)}, frames)[0]
    assert (step.max_abs_diff_m, step.embedded, step.images) == (0, True, len(frames))
    worse = check_parity(FakeBackend(), {"a": FrameModel(120, 160, lambda depth: depth * 1.002)}, frames)[0]
    assert worse.abs_rel == pytest.approx(0.002, rel=1e-3)
    gate(worse, THRESHOLDS)  # past FP32's distance at single pixels, but within the change of RMSE


def test_frames_of_another_size_are_resized_and_it_is_said_once(frames, make_frames):
    said = []
    mixed = [*frames, *make_frames(2, 60, 80)]
    step = check_parity(FakeBackend(), {"a": FrameModel(120, 160)}, mixed, say=said.append)[0]
    assert (step.images, step.max_abs_diff_m) == (len(mixed), 0)
    assert said == ["Pairs of 80x60 are resized to 160x120 for the forms that take frames"]
    assert step.reference_metrics is not None


def test_no_frames_are_an_error():
    with pytest.raises(LightDepthError, match="got none"):
        check_parity(FakeBackend(), {"step": FakeBackend()}, [])


def test_several_candidates_see_the_same_frames_read_once(frames):
    read = []
    iterator = (read.append(frame.name) or frame for frame in frames)
    steps = check_parity(FakeBackend(), {"a": FakeBackend(), "b": Altered(lambda d: d + 1)}, iterator)
    assert [step.step for step in steps] == ["a", "b"]
    assert [step.max_abs_diff_m for step in steps] == pytest.approx([0, 1])
    assert len(read) == len(frames)


def test_the_report_is_valid_json_even_where_depth_is_not_finite(frames):
    step = replace(measure(lambda depth: depth * np.nan, frames, "fp16"), overflow=OverflowMargin(10.0, "x", 1))
    report = ParityReport("m", "d", THRESHOLDS, (step,)).to_dict()
    read = json.loads(json.dumps(report, allow_nan=False))
    assert read["schema"] == "lightdepth.parity/1"
    assert read["thresholds"]["fp16_rmse_change"] == 0.005
    assert read["steps"]["step"]["overflow"]["margin"] == pytest.approx(6550.4)


def test_frames_without_valid_depth_count_for_the_distances_alone(frames):
    empty = replace(frames[0], depth_m=np.zeros_like(frames[0].depth_m))
    step = measure(lambda depth: depth + 0.1, [*frames[1:], empty])
    whole = measure(lambda depth: depth + 0.1, frames[1:])
    assert (step.images, step.left_out) == (len(frames), 1)
    assert step.reference_metrics == whole.reference_metrics
    assert step.rmse_change == whole.rmse_change
    assert f"1 of {len(frames)} frames without valid depth" in step.describe()
    assert step.to_dict()["left_out"] == 1


def test_frames_none_of_which_has_valid_depth_are_judged_without_it(frames):
    step = measure(lambda depth: depth, [replace(f, depth_m=np.zeros_like(f.depth_m)) for f in frames])
    assert (step.left_out, step.reference_metrics, step.rmse_change) == (len(frames), None, None)
    gate(step, THRESHOLDS)
