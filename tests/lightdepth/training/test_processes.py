"""Two processes against one: what is trained on, and what comes out."""

import json
import os
import subprocess
import sys

import pytest

from lightdepth.config import load_config
from lightdepth.runs.folder import RunFolder
from lightdepth.training.processes import describe_batch

# Trains with the config file named, and notes the names of the pairs of each step, one file a process. Where a GPU is,
# a barrier that names one which isn't there fails; here every such barrier does.
SCRIPT = """
import os, sys
from pathlib import Path
import torch
from lightdepth.training import train as train_module
from lightdepth.config import load_config

config, folder = Path(sys.argv[1]), Path(sys.argv[2])
original = train_module.Stepper.__call__

def call(self, batch):
    with Path(f"{folder}.{os.environ.get('RANK', 0)}").open("a") as file:
        file.write(" ".join(batch.names) + "\\n")
    return original(self, batch)

barrier = torch.distributed.barrier

def barrier_without_gpus(*arguments, device_ids=None, **options):
    assert device_ids is None, "a barrier names a GPU"
    return barrier(*arguments, **options)

torch.distributed.barrier = barrier_without_gpus
train_module.Stepper.__call__ = call
train_module.train(load_config(config), folder, say=print)
"""
SETTINGS = (
    "encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]", "image_height=64", "image_width=96",
    "epochs=1", "passes_per_epoch=4", "num_workers=0", "num_threads=1", "precision=fp32",
)  # fmt: skip


def start(tmp_path, tum, name, accumulate, launcher):
    """Train in a fresh interpreter; return the run, what it printed, and each process's pairs by step."""
    config = load_config(
        None, [*SETTINGS, "batch_size=2", f"accumulate={accumulate}", f"data_root={tum}", f"val_data={tum}"]
    )
    (tmp_path / "train.py").write_text(SCRIPT)
    (tmp_path / f"{name}.yaml").write_text(json.dumps(config.model_dump()))
    command = [sys.executable, *launcher, tmp_path / "train.py", tmp_path / f"{name}.yaml", tmp_path / name]
    environment = {**os.environ, "ACCELERATE_USE_CPU": "true", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr[-2000:]
    order = [path.read_text().splitlines() for path in sorted(tmp_path.glob(f"{name}.[0-9]"))]
    return RunFolder(tmp_path / name), done.stdout, order


@pytest.mark.slow
def test_two_processes_train_as_one_that_accumulates_their_batches(tum, tmp_path):
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    one, _, order = start(tmp_path, tum, "one", 2, [])
    two, printed, orders = start(tmp_path, tum, "two", 1, torchrun)
    assert "effective batch 4 (batch_size 2 x 2 processes x accumulate 1)" in printed
    assert printed.count("sync_batchnorm needs GPUs") == 1  # the main process alone speaks
    assert len(orders) == 2
    assert [name for step in zip(*orders, strict=True) for name in step] == order[0]
    (alone,), (together,) = one.read_metrics(), two.read_metrics()
    # The loss of a process is the mean over its own batches; with BatchNorm apart, only the statistics for inference
    # differ, since one process has seen every batch and each of two has seen half of them.
    assert together["loss"] == pytest.approx(alone["loss"], abs=1e-4)


def test_the_effective_batch_is_said():
    config = load_config(None, ["batch_size=8", "accumulate=2", "learning_rate=1e-4"])
    assert describe_batch(config, 4) == (
        "effective batch 64 (batch_size 8 x 4 processes x accumulate 2), learning rate 0.0001"
    )
