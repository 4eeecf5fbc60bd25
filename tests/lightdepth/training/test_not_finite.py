"""Losses and gradients that are not finite cost as little as they can."""

import math

import torch
from fakes.runs import refusal, settings, weights

from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.training import train as train_module
from lightdepth.training.losses import DepthLoss
from lightdepth.training.train import train


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
    assert "No batch of epoch 2/3 had a finite loss" in message
    assert "lower learning_rate or precision fp32" in message
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
