"""What a run leaves, says, refuses and gives again."""

import math

import cv2
import numpy as np
import pytest
import torch
from fakes.runs import TINY, assert_equal_weights, refusal, settings
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.config import load_config
from lightdepth.training.train import train
from lightdepth_runtime.pairs import load_pairs


def test_a_run_leaves_checkpoints_state_metrics_curves_and_its_config(finished, tum):
    folder, _ = finished
    names = sorted(path.name for path in folder.path.iterdir())
    assert names == [
        "best.safetensors", "config.yaml", "last.safetensors", "metrics.jsonl", "run.json", "state", "tensorboard"
    ]  # fmt: skip
    assert [path.name for path in folder.states()] == ["epoch-0001", "epoch-0002"]
    assert load_config(folder.config_path) == settings(tum)
    rows = folder.read_metrics()
    assert [row["epoch"] for row in rows] == [1, 2]
    for row in rows:
        assert {"loss", "rmse_m", "abs_rel", "delta1", "learning_rate", "images_per_s", "seconds"} <= set(row)
        assert all(math.isfinite(value) for value in row.values())
    curves = EventAccumulator(str(folder.path / "tensorboard")).Reload()
    assert [event.step for event in curves.Scalars("rmse_m")] == [1, 2]


def test_checkpoints_say_what_they_are_and_how_they_score(finished):
    folder, _ = finished
    best, last = load_checkpoint(folder.best), load_checkpoint(folder.last)
    rows = folder.read_metrics()
    assert best.spec.scores["rmse_m"] == min(row["rmse_m"] for row in rows)
    assert last.spec.scores["rmse_m"] == rows[-1]["rmse_m"]
    assert last.spec.scores["protocol"].startswith("crop-eigen")
    assert last.spec.training_data == "tum (pair list, 4 pairs)"
    assert (last.spec.input_height, last.spec.input_width) == (64, 96)
    assert last.spec.parameters == sum(p.numel() for p in last.model.parameters())


def test_a_run_says_what_it_is_and_a_line_each_epoch(finished):
    _, lines = finished
    assert "4 training and 2 validation pairs, 96x64, fp32 on cpu, 2 steps an epoch" in lines[0]
    assert [line.split(":")[0] for line in lines[1:]] == ["epoch 1/2", "epoch 2/2"]
    assert "RMSE" in lines[1]
    assert "images/s" in lines[1]


def test_a_used_folder_is_refused_and_stays_as_it_was(finished, tum):
    folder, _ = finished
    before = folder.best.read_bytes()
    # Before the encoder's weights are fetched: another encoder would be an error of its own.
    assert "already holds a run" in refusal(settings(tum, "encoder=nonsense"), folder.path)
    assert "already holds a run; continue it with --resume" in refusal(settings(tum), folder.path)
    assert folder.best.read_bytes() == before


@pytest.mark.slow
def test_the_same_config_gives_the_same_weights(finished, tum, tmp_path):
    assert_equal_weights(train(settings(tum), tmp_path / "again"), finished[0])


@pytest.mark.parametrize("overrides", [["loss=l1"], ["loss=l1", "output=relu"], ["precision=bf16"], ["ema_decay=0"]])
def test_other_losses_outputs_and_precisions_train(tum, tmp_path, overrides):
    folder = train(settings(tum, "epochs=1", *overrides), tmp_path / "run")
    assert math.isfinite(folder.read_metrics()[0]["loss"])


@pytest.mark.slow
def test_fp16_without_cuda_is_said_and_trained_in_fp32(tum, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so fp16 is trained in fp16")
    lines = []
    folder = train(settings(tum, "epochs=1", "precision=fp16"), tmp_path / "half", say=lines.append)
    assert lines[0] == "precision fp16 needs a CUDA GPU; there is none here, so this run trains in fp32."
    assert "fp32 on cpu" in lines[1]
    same = train(settings(tum, "epochs=1"), tmp_path / "full")
    assert_equal_weights(folder, same)


@pytest.mark.slow
def test_without_validation_the_newest_weights_are_the_best(tum, tmp_path):
    config = load_config(None, [*TINY, f"data_root={tum}", "val_fraction=0"])
    folder = train(config, tmp_path / "run")
    assert "rmse_m" not in folder.read_metrics()[0]
    best, last = (load_checkpoint(path) for path in (folder.best, folder.last))
    assert all(torch.equal(a, b) for a, b in zip(best.model.parameters(), last.model.parameters(), strict=True))
    assert best.spec.scores == {}


def test_a_share_of_the_training_scenes_validates_where_no_data_is_named(tum, tmp_path):
    lines = []
    config = load_config(None, [*TINY, f"data_root={tum}", "epochs=1"])
    train(config, tmp_path / "run", say=lines.append)
    said = " ".join(lines)
    assert "3 training and 1 validation pairs" in said or "1 training and 3 validation pairs" in said


@pytest.mark.slow
@pytest.mark.parametrize(("batch_size", "steps"), [(8, 1), (3, 1), (1, 4)])
def test_any_batch_size_trains_on_a_small_data_set(tum, tmp_path, batch_size, steps):
    lines = []
    train(settings(tum, "epochs=1", f"batch_size={batch_size}"), tmp_path / "run", say=lines.append)
    assert f"{steps} steps an epoch" in lines[0]


def test_one_image_at_the_smallest_size_is_refused_rather_than_a_batchnorm_error(tum, tmp_path):
    config = settings(tum, "batch_size=1", "image_height=32", "image_width=32")
    assert "larger batch_size or input size" in refusal(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_missing_and_empty_data_are_named_and_leave_no_folder(tum, tmp_path):
    output = tmp_path / "run"
    (tmp_path / "empty").mkdir()
    assert "No training data given; pass --data" in refusal(load_config(None, TINY), output)
    assert "No data at" in refusal(settings(tmp_path / "gone"), output)
    assert "No train pairs in" in refusal(settings(tmp_path / "empty"), output)
    assert "No data at" in refusal(settings(tum, f"val_data={tmp_path / 'gone'}"), output)
    pairs = load_pairs(tum, "train")
    for given in ((pairs.subset([], "train"), None), (pairs, pairs.subset([], "validation"))):
        assert "has no" in refusal(settings(tum), output, pairs=given)
    assert "timm has no encoder" in refusal(settings(tum, "encoder=resnet11t"), output)
    assert not output.exists()


def test_an_output_that_cannot_be_written_is_refused(tum, tmp_path):
    (tmp_path / "file").write_text("")
    assert "Can't write" in refusal(settings(tum), tmp_path / "file" / "run")


def empty_depth(data):
    for path in data.rglob("*_depth.png"):
        cv2.imwrite(str(path), np.zeros((120, 160), np.uint16))
    return "None of 4 training pairs has a reading under max_depth_m, 10 m: freiburg"


def truncated_jpeg(data):
    for path in data.rglob("*_rgb.jpg"):
        path.write_bytes(path.read_bytes()[:2000])
    return "_rgb.jpg is truncated (2000 bytes, its end marker is missing)"


@pytest.mark.parametrize("damage", [empty_depth, truncated_jpeg])
def test_damaged_pairs_are_one_sentence_that_names_files(tum_copy, tmp_path, damage):
    words = damage(tum_copy)
    assert words in refusal(settings(tum_copy), tmp_path / "run")


def test_an_error_inside_a_worker_is_one_sentence_too(tum_copy, tmp_path):
    words = truncated_jpeg(tum_copy)
    message = refusal(settings(tum_copy, "num_workers=1"), tmp_path / "run")
    assert words in message
    assert message.startswith(str(tum_copy))


@pytest.mark.slow
def test_workers_change_nothing_in_the_result(finished, tum, tmp_path):
    assert_equal_weights(train(settings(tum, "num_workers=1"), tmp_path / "run"), finished[0])


def test_accumulated_batches_make_one_step(tum, tmp_path):
    lines = []
    config = settings(tum, "epochs=1", "batch_size=1", "accumulate=3")
    folder = train(config, tmp_path / "run", say=lines.append)
    assert "effective batch 3 (batch_size 1 x 1 process x accumulate 3), learning rate 0.001" in lines[0]
    state = torch.load(folder.states()[-1] / "progress.pt")
    assert state["step"] == 2  # of four batches: three, and the one that is left


def test_processes_that_would_train_alone_are_refused(tum, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    message = refusal(settings(tum), tmp_path / "run")
    assert "WORLD_SIZE says 2 processes but 1 would train together" in message
    assert "set ACCELERATE_USE_CPU=true" in message
    assert not (tmp_path / "run").exists()


def test_more_processes_than_gpus_are_refused(tum, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    message = refusal(settings(tum), tmp_path / "run")
    assert "4 processes were started on this machine, and it has 2 GPUs" in message
    assert "--nproc_per_node 2" in message
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_training_lowers_the_loss(tum, tmp_path):
    config = settings(tum, "epochs=8", "zoom_max=1", "color_jitter=0", "flip=false", "learning_rate=3e-3")
    losses = [row["loss"] for row in train(config, tmp_path / "run").read_metrics()]
    assert losses[-1] < 0.7 * losses[0]


def test_compiling_without_a_compiler_is_one_sentence(tum, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = refusal(settings(tum, "compile=true"), tmp_path / "run")
    assert "needs a C++ compiler, and there is no no-such-compiler; install one" in message
    assert not (tmp_path / "run").exists()
