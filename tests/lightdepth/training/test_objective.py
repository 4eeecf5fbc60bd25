import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fakes.runs import TINY
from safetensors.torch import load_file
from torch import nn

from lightdepth.checkpoints.checkpoint import build_model, count_parameters, load_checkpoint, save_checkpoint
from lightdepth.config import load_config
from lightdepth.data.sample import Sample
from lightdepth.network.model import LightDepth
from lightdepth.training import train as train_module
from lightdepth.training.losses import DepthLoss
from lightdepth.training.objective import FeatureStudent, Objective, trusted, unexplained
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec


class Constant(nn.Module):
    """Predicts the same map for every image."""

    def __init__(self, depth_m):
        super().__init__()
        self.depth_m = nn.Parameter(depth_m)

    def forward(self, image):
        return self.depth_m


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    with torch.random.fork_rng():
        torch.manual_seed(3)
        network = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8])
    spec = ModelSpec("teacher", 96, 128, count_parameters(network))
    save_checkpoint(path, network, spec, load_config(None, [*TINY, "image_height=96", "image_width=128"]))
    return path


def batch(depth_m, teacher_m):
    return Sample(torch.zeros(1, 3, 10, 10), depth_m, teacher_m, None, ["a"])


def test_the_tenth_that_fits_worst_is_dropped_in_each_image_and_holes_are_never_trusted():
    teacher_m = torch.full((2, 1, 10, 10), 2.0)
    teacher_m[1, 0, :5] = 0
    prediction_m = torch.full((2, 1, 10, 10), 2.0)
    prediction_m[0, 0, 3] = 4.0  # ten of a hundred pixels
    prediction_m[1, 0, 9, :5] = 1.0  # five of fifty
    kept = trusted(prediction_m, teacher_m)
    assert kept.sum(dim=(1, 2, 3)).tolist() == [90, 45]
    assert not kept[0, 0, 3].any()
    assert not kept[1, 0, :5].any()
    assert not kept[1, 0, 9, :5].any()
    assert not trusted(prediction_m, torch.zeros_like(teacher_m)).any()


def test_truth_counts_where_it_is_and_the_teacher_elsewhere():
    loss = DepthLoss("l1")
    truth_m, teacher_m = torch.zeros(1, 1, 10, 10), torch.full((1, 1, 10, 10), 3.0)
    truth_m[..., :5] = 2.0
    model = Constant(torch.full((1, 1, 10, 10), 2.0))
    value = Objective(loss, teacher_weight=0.0)(model, batch(truth_m, teacher_m))
    # Every pixel is 1 m off the teacher, so none is worse than the others and none is dropped.
    assert value.item() == pytest.approx(0.5)
    assert Objective(loss)(model, batch(truth_m, None)).item() == 0
    weighted = Objective(loss, teacher_weight=0.5)(model, batch(truth_m, teacher_m))
    assert weighted.item() == pytest.approx(0.5 + 0.5 * 1.0)


def test_a_teachers_gross_errors_do_not_move_the_student():
    teacher_m = torch.full((1, 1, 10, 10), 2.0)
    teacher_m[0, 0, 0] = 9.0  # a tenth, far off
    model = Constant(torch.full((1, 1, 10, 10), 2.2))
    Objective(DepthLoss("l1"), teacher_weight=0.5)(model, batch(torch.zeros(1, 1, 10, 10), teacher_m)).backward()
    gradient = model.depth_m.grad[0, 0]
    assert (gradient[0] == 0).all()
    assert (gradient[1:] > 0).all()


def test_with_all_truth_and_no_weight_a_teacher_changes_nothing():
    generator = torch.Generator().manual_seed(0)
    truth_m, teacher_m, prediction_m = (torch.rand(1, 1, 10, 10, generator=generator) * 5 + 0.5 for _ in range(3))
    model = Constant(prediction_m)
    with_teacher = Objective(DepthLoss())(model, batch(truth_m, teacher_m))
    assert torch.equal(with_teacher, Objective(DepthLoss())(model, batch(truth_m, None)))


def test_unexplained_is_zero_for_a_copy_and_one_for_the_mean():
    target = torch.randn(4, 5, 8, 8, generator=torch.Generator().manual_seed(1)) * 7 + 3
    deviation, mean = torch.std_mean(target, dim=(0, 2, 3), keepdim=True)
    assert unexplained((target - mean) / deviation, target).item() == pytest.approx(0, abs=1e-6)
    assert unexplained(torch.zeros_like(target), target).item() == pytest.approx(1, rel=0.01)
    assert unexplained(torch.zeros(4, 5, 4, 4), target).shape == ()  # a larger target is averaged


def settings(data, teacher, tmp_path, *overrides):
    keys = {"data_root": data, "val_data": data, "distill_from": teacher, "teacher_cache": tmp_path / "cache"}
    return load_config(None, [*TINY, *(f"{key}={value}" for key, value in keys.items()), *overrides])


@pytest.mark.slow
@pytest.mark.parametrize("overrides", [[], ["feature_weight=1"]])
def test_a_student_learns_from_pairs_and_images_without_depth(tum, teacher_file, tmp_path, overrides):
    config = settings(tum, teacher_file, tmp_path, f"unlabelled={tum}", *overrides)
    said = []
    run = train(config, tmp_path / "run", say=said.append)
    student = load_checkpoint(run.last)
    assert "images without depth, teacher teacher.safetensors" in student.spec.training_data
    assert set(load_file(run.last)) == set(student.model.state_dict())  # no maps of features
    assert json.loads(run.record_path.read_text())["teacher"]
    assert any(line.startswith(f"Teacher: {teacher_file}") for line in said)
    assert any(line.startswith(f"{tum}: 2 left out: ") for line in said)  # what lies among the images without depth
    rows = run.read_metrics()
    assert len(rows) == 2
    assert rows[1]["loss"] < rows[0]["loss"] * 1.5


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits_with_a_teacher(tum, teacher_file, tmp_path, monkeypatch):
    config = settings(tum, teacher_file, tmp_path, "feature_weight=1")
    whole = train(config, tmp_path / "whole")
    original = train_module._Training._epoch

    def once(self, board):
        original(self, board)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module._Training, "_epoch", once)
    with pytest.raises(KeyboardInterrupt):
        train(config, tmp_path / "cut")
    monkeypatch.setattr(train_module._Training, "_epoch", original)
    resumed = train(config, tmp_path / "cut", resume=True)
    expected = load_file(whole.last)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in load_file(resumed.last).items())


@pytest.mark.slow
def test_resuming_with_another_teacher_of_the_same_name_is_refused(tum, teacher_file, tmp_path):
    copy = tmp_path / "teacher.safetensors"
    shutil.copy(teacher_file, copy)
    config = settings(tum, copy, tmp_path)
    train(config, tmp_path / "run")
    checkpoint = load_checkpoint(copy)
    save_checkpoint(copy, checkpoint.model, checkpoint.spec.with_changes(name="other"), checkpoint.config)
    with pytest.raises(LightDepthError, match="The teacher is not the one that this run began with"):
        train(config, tmp_path / "run", resume=True)


@pytest.mark.parametrize("override", ["unlabelled=photos", "feature_weight=1"])
def test_keys_that_need_a_teacher_say_so(override):
    with pytest.raises(LightDepthError, match="need a teacher: set distill_from"):
        load_config(None, [override])


def test_features_are_matched_with_a_checkpoint_only(tum, tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"not asked for")
    config = settings(tum, tmp_path / "model.onnx", tmp_path, "feature_weight=1")
    with pytest.raises(LightDepthError, match=r"name a checkpoint \(.safetensors.*\) in distill_from"):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_student_of_other_widths_matches_its_teachers_features():
    network = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8])
    student = FeatureStudent(network, [64, 64, 128, 256, 512], [4, 5, 6, 7, 8])
    features = [torch.randn(2, c, 64 // 2**n, 96 // 2**n) for n, c in enumerate((4, 5, 6, 7, 8))]
    depth_m, mismatch = student(torch.randn(2, 3, 64, 96), features)
    assert depth_m.shape == (2, 1, 64, 96)
    mismatch.backward()
    assert all(layer.weight.grad.abs().sum() > 0 for layer in student.maps)
    assert network.encoder.conv1[0].weight.grad.abs().sum() > 0


@pytest.fixture(scope="module")
def confident(tmp_path_factory, teacher_file):
    data = Path(__file__).parents[2] / "data" / "tum"
    config = load_config(
        None, [*TINY, f"data_root={data}", f"val_data={data}", "confidence=true", f"distill_from={teacher_file}"]
    )
    return train(config, tmp_path_factory.mktemp("runs") / "confident")


def test_a_network_with_confidence_has_one_more_convolution_and_a_spec_that_says_so(confident, tum):
    checkpoint = load_checkpoint(confident.last)
    plain = LightDepth("resnet10t", decoder_channels=[8, 8, 8, 8])
    assert checkpoint.spec.sigma_tensor == "sigma"
    assert checkpoint.spec.parameters == count_parameters(plain) + 8 + 1
    estimator = DepthEstimator.load(confident.last, "cpu")
    image = load_pairs(tum, "test").pairs[0].read().image
    prediction = estimator.predict(image)
    assert prediction.sigma.shape == prediction.depth_m.shape == image.shape[:2]
    assert (prediction.sigma > 0).all()
    assert np.array_equal(prediction.depth_m, estimator(image))


def test_fine_tuning_starts_from_networks_with_sigma_and_without(confident, teacher_file, tum):
    with_sigma = build_model(load_config(None, [*TINY, f"start_from={confident.last}"]))
    assert "head.to_sigma.weight" not in with_sigma.state_dict()
    without = build_model(
        load_config(
            None, [*TINY, "image_height=96", "image_width=128", f"start_from={teacher_file}", "confidence=true"]
        )
    )
    assert "head.to_sigma.weight" in without.state_dict()


def test_fine_tuning_says_first_what_its_start_scores(confident, teacher_file, tum, tmp_path):
    said = []
    overrides = [f"data_root={tum}", f"val_data={tum}", f"start_from={confident.last}", "epochs=1", "confidence=true"]
    train(load_config(None, [*TINY, *overrides]), tmp_path / "run", say=said.append)
    [start] = [line for line in said if line.startswith("before training: ")]
    rmse_m = confident.read_metrics()[-1]["rmse_m"]  # the same weights on the same pairs
    assert start.startswith(f"before training: RMSE {rmse_m:.3f} m")
    assert said.index(start) < next(place for place, line in enumerate(said) if line.startswith("epoch 1/1"))
