import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.config import load_config
from lightdepth.training import train as train_module
from lightdepth.training.losses import DepthLoss
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs

TINY = (
    "encoder=resnet10t",
    "encoder_weights=none",
    "decoder_channels=[8, 8, 8, 8]",
    "image_height=64",
    "image_width=96",
    "epochs=2",
    "batch_size=2",
    "num_workers=0",
    "num_threads=1",
    "precision=fp32",
)


def settings(data, *overrides):
    return load_config(None, [*TINY, f"data_root={data}", f"val_data={data}", *overrides])


def weights(folder):
    return {name: load_file(folder.path / f"{name}.safetensors") for name in ("best", "last")}


def assert_equal_weights(one, other):
    for name, tensors in weights(one).items():
        for key, tensor in weights(other)[name].items():
            assert torch.equal(tensors[key], tensor), f"{name}: {key}"


def without_times(rows):
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "images_per_s", "first_batch_s")}
        for row in rows
    ]


def refusal(config, output, **arguments):
    with pytest.raises(LightDepthError) as caught:
        train(config, output, **arguments)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


class InterruptedTrainingError(Exception):
    pass


def interrupt_at(monkeypatch, step):
    """Let training stop in the middle of an epoch, as a killed process does."""
    original = train_module.Stepper.__call__

    def call(self, *arguments):
        if self.progress.step == step:
            raise InterruptedTrainingError
        return original(self, *arguments)

    monkeypatch.setattr(train_module.Stepper, "__call__", call)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two epochs on the test pairs, with the lines it said."""
    lines = []
    data = Path(__file__).parents[2] / "data" / "tum"
    return train(settings(data), tmp_path_factory.mktemp("runs") / "whole", say=lines.append), lines


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


def test_the_same_config_gives_the_same_weights(finished, tum, tmp_path):
    assert_equal_weights(train(settings(tum), tmp_path / "again"), finished[0])


@pytest.mark.parametrize("step", [1, 3])
def test_a_run_killed_in_an_epoch_resumes_to_the_bits_of_an_uninterrupted_one(
    finished, tum, tmp_path, monkeypatch, step
):
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(InterruptedTrainingError):
            train(settings(tum), tmp_path / "run")
    lines = []
    folder = train(settings(tum, "num_threads=1"), tmp_path / "run", resume=True, say=lines.append)
    assert ("no finished epoch; starting from the beginning" in lines[0]) == (step == 1)
    assert_equal_weights(folder, finished[0])
    assert without_times(folder.read_metrics()) == without_times(finished[0].read_metrics())


def test_dropout_resumes_to_the_same_bits_too(tum, tmp_path, monkeypatch):
    class Noisy(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.dropout(x, 0.2, self.training)

    original = train_module.build_model

    def build(config):
        model = original(config)
        model.head.features = torch.nn.Sequential(model.head.features, Noisy())
        return model

    monkeypatch.setattr(train_module, "build_model", build)
    whole = train(settings(tum), tmp_path / "whole")
    with monkeypatch.context() as patch:
        interrupt_at(patch, 3)
        with pytest.raises(InterruptedTrainingError):
            train(settings(tum), tmp_path / "run")
    assert_equal_weights(train(settings(tum), tmp_path / "run", resume=True), whole)


def test_a_killed_process_leaves_a_run_that_resumes(tum, tmp_path):
    """SIGKILL once the first epoch's state is there: no handler runs, nothing is tidied up."""
    script = (
        "import sys; from pathlib import Path; from lightdepth.config import load_config\n"
        "from lightdepth.training.train import train; train(load_config(Path(sys.argv[1])), Path(sys.argv[2]))"
    )
    config = settings(tum, "epochs=200")
    (tmp_path / "c.yaml").write_text(json.dumps(config.model_dump()))
    arguments = [sys.executable, "-c", script, str(tmp_path / "c.yaml"), str(tmp_path / "run")]
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 120
        while not list((tmp_path / "run" / "state").glob("epoch-*")):
            assert process.poll() is None, "training ended early"
            assert time.monotonic() < deadline, "no epoch finished"
            time.sleep(0.05)
    finally:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
    load_checkpoint(tmp_path / "run" / "best.safetensors")
    with pytest.MonkeyPatch.context() as patch:
        done = len(list((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()))
        interrupt_at(patch, 2 * (done + 2))
        with pytest.raises(InterruptedTrainingError):
            train(config, tmp_path / "run", resume=True)
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["epoch"] for row in rows] == list(range(1, done + 3))
    assert not list((tmp_path / "run" / "state").glob(".epoch-*"))


def test_a_finished_run_resumes_to_nothing_left(finished, tum):
    folder, _ = finished
    before = folder.last.read_bytes()
    train(settings(tum), folder.path, resume=True)
    assert folder.last.read_bytes() == before


def test_resuming_with_another_config_is_refused(finished, tum, tmp_path):
    message = refusal(settings(tum, "epochs=3", "loss=l1"), finished[0].path, resume=True)
    assert "epochs was 2, now 3; loss was 'silog', now 'l1'" in message
    assert "holds no run to resume" in refusal(settings(tum), tmp_path / "new", resume=True)


@pytest.mark.parametrize("overrides", [["loss=l1"], ["loss=l1", "output=relu"], ["precision=bf16"], ["ema_decay=0"]])
def test_other_losses_outputs_and_precisions_train(tum, tmp_path, overrides):
    folder = train(settings(tum, "epochs=1", *overrides), tmp_path / "run")
    assert math.isfinite(folder.read_metrics()[0]["loss"])


def test_fp16_without_cuda_is_said_and_trained_in_fp32(tum, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has CUDA, so fp16 is trained in fp16")
    lines = []
    folder = train(settings(tum, "epochs=1", "precision=fp16"), tmp_path / "half", say=lines.append)
    assert lines[0] == "precision fp16 needs a CUDA GPU; there is none here, so this run trains in fp32."
    assert "fp32 on cpu" in lines[1]
    same = train(settings(tum, "epochs=1"), tmp_path / "full")
    assert_equal_weights(folder, same)


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


def test_workers_change_nothing_in_the_result(finished, tum, tmp_path):
    assert_equal_weights(train(settings(tum, "num_workers=1"), tmp_path / "run"), finished[0])


def break_loss(monkeypatch, broken_calls):
    """Let the loss be NaN in the calls that are named, counted from 1."""
    original = DepthLoss.__call__
    calls = []

    def broken(self, prediction_m, truth_m):
        calls.append(1)
        return original(self, prediction_m, truth_m) * (math.nan if len(calls) in broken_calls else 1)

    monkeypatch.setattr(DepthLoss, "__call__", broken)


def test_losses_that_are_not_finite_stop_the_run_and_keep_the_last_epoch(tum, tmp_path, monkeypatch):
    break_loss(monkeypatch, range(5, 100))
    message = refusal(settings(tum, "epochs=3", "batch_size=1"), tmp_path / "run")
    assert message == "No batch of epoch 2 had a finite loss; start again with a lower learning_rate or precision fp32."
    assert load_checkpoint(tmp_path / "run" / "last.safetensors").spec.scores["rmse_m"] > 0


def test_five_losses_in_a_row_that_are_not_finite_name_the_batch(tum, tmp_path, monkeypatch):
    break_loss(monkeypatch, range(5, 100))
    message = refusal(settings(tum, "epochs=1", "batch_size=1", "passes_per_epoch=3"), tmp_path / "run")
    assert "The loss is nan at step 4 with freiburg" in message
    assert "in 5 batches in a row" in message


def test_a_single_loss_that_is_not_finite_costs_its_batch_and_is_counted(tum, tmp_path, monkeypatch):
    break_loss(monkeypatch, {2})
    lines = []
    folder = train(settings(tum), tmp_path / "run", say=lines.append)
    assert [row["skipped_batches"] for row in folder.read_metrics()] == [1, 0]
    assert "1 batches skipped" in lines[1]
    assert "skipped" not in lines[2]
    assert all(torch.isfinite(tensor).all() for tensor in weights(folder)["last"].values())


def test_images_that_poison_batchnorm_leave_no_trace_when_they_are_skipped(tum, tmp_path, monkeypatch):
    original = train_module.Stepper.__call__
    calls = []

    def call(self, batch):
        calls.append(1)
        return original(self, batch._replace(image=batch.image * math.inf) if len(calls) == 2 else batch)

    monkeypatch.setattr(train_module.Stepper, "__call__", call)
    folder = train(settings(tum), tmp_path / "run")
    assert folder.read_metrics()[0]["skipped_batches"] == 1
    assert all(torch.isfinite(tensor).all() for tensor in weights(folder)["last"].values())


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


def test_a_damaged_newest_state_falls_back_to_the_one_before_and_ends_the_same(finished, tum, tmp_path):
    folder = shutil.copytree(finished[0].path, tmp_path / "run")
    newest = folder / "state" / "epoch-0002" / "model.safetensors"
    content = bytearray(newest.read_bytes())
    content[-10] ^= 1  # a single bit, which safetensors itself doesn't notice
    newest.write_bytes(bytes(content))
    lines = []
    resumed = train(settings(tum), folder, resume=True, say=lines.append)
    assert "model.safetensors is damaged" in lines[0]
    assert "going on from epoch-0001, the one before" in lines[0]
    assert_equal_weights(resumed, finished[0])


def test_pairs_that_changed_since_the_run_began_are_refused(finished, tum, tmp_path):
    folder = shutil.copytree(finished[0].path, tmp_path / "run")
    pairs = load_pairs(tum, "train")
    message = refusal(settings(tum), folder, pairs=(pairs.subset([0, 1, 2], "train"), None), resume=True)
    assert "The training pairs are not those this run began with (4 then, 3 now" in message


def test_training_lowers_the_loss(tum, tmp_path):
    config = settings(tum, "epochs=8", "zoom_max=1", "color_jitter=0", "flip=false", "learning_rate=3e-3")
    losses = [row["loss"] for row in train(config, tmp_path / "run").read_metrics()]
    assert losses[-1] < 0.7 * losses[0]


def test_compiling_without_a_compiler_is_one_sentence(tum, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    message = refusal(settings(tum, "compile=true"), tmp_path / "run")
    assert "needs a C++ compiler, and there is no no-such-compiler; install one" in message
    assert not (tmp_path / "run").exists()
