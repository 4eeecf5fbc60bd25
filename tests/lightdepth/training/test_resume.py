"""A run that ended early, however it did, goes on to the bits of an uninterrupted one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from fakes.runs import (
    InterruptedTrainingError,
    assert_equal_weights,
    interrupt_at,
    refusal,
    settings,
)

from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.config import load_config
from lightdepth.training import train as train_module
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs


def without_times(rows):
    return [
        {key: value for key, value in row.items() if key not in ("seconds", "images_per_s", "first_batch_s")}
        for row in rows
    ]


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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_config_that_was_made_longer_by_hand_is_refused(finished, tmp_path):
    shutil.copytree(finished[0].path, tmp_path / "run")
    path = tmp_path / "run" / "config.yaml"
    lines = path.read_text().splitlines()
    path.write_text("\n".join("epochs: 9" if line.startswith("epochs:") else line for line in lines))
    with pytest.raises(LightDepthError, match=r"begun for \d+ steps, and its config.yaml.*change it back"):
        train(load_config(path), tmp_path / "run", resume=True)
