"""Kill a training at random moments, resume it each time, and compare its end with an uninterrupted run's.

Run: python benchmarks/kill_test.py [--moments 20] [--on-gpu] [--json FILE]

Each moment is a `kill -9` of a training process: in a step, in a write of the training state or of a checkpoint, in
validation, between the metrics and the state, or whenever a random time is over. One process takes all of them in turn,
each resumed by the next. At its end the weights, the averaged weights, the optimiser and the metrics must equal, bit by
bit, those of a run that nothing disturbed. FP32 on the CPU, on real pairs that ship with the package.

`--on-gpu` trains in FP16 with gradient scaling on a GPU. On a real one some of CUDA's sums come in any order, so bits
differ without a kill too.

Each process is a fork of a server that has imported the training and done nothing else: importing costs more than all
the steps that are killed.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

import lightdepth
from lightdepth.config import TrainConfig, load_config
from lightdepth.data.sample import Sample
from lightdepth.runs.folder import RunFolder
from lightdepth.training.log import log_epoch
from lightdepth.training.stepper import Stepper
from lightdepth.training.train import train
from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.evaluate import EvalResult
from lightdepth_runtime.pairs import PairSet, load_pairs

SCHEMA = "lightdepth.kill_test/1"
PLACES = ("step", "state", "checkpoint", "validation", "metrics", "any time")
SETTINGS = (
    "encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]", "image_height=64", "image_width=96",
    "batch_size=2", "num_workers=0", "num_threads=1", "warmup_share=0.2", "accumulate=2",
)  # fmt: skip
TRAINING_PAIRS, VALIDATION_PAIRS = 6, 2
TIMES = ("seconds", "images_per_s", "first_batch_s")
# How often a place is passed in about two epochs: three optimiser steps of two and one batch, twelve files of a state.
PASSAGES = {"step": 4, "state": 24, "checkpoint": 3, "validation": 2, "metrics": 2}
EPOCHS_OF_ANY_TIME = 2


@dataclass(frozen=True)
class Moment:
    """Where to kill: on the `passage`-th passage through a place after the start or resume, or after a time."""

    place: str
    passage: int = 1
    delay_s: float = 0.0  # from the first step, where the place is any


def main() -> None:
    """Parse, run, and exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--on-gpu", action="store_true")
    parser.add_argument("--json", type=Path, default=None)
    arguments = parser.parse_args()
    if not arguments.on_gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    result = run_test(arguments.moments, arguments.seed, "fp16" if arguments.on_gpu else "fp32")
    if arguments.json:
        write_json(arguments.json, result)
    print(json.dumps({key: result[key] for key in ("kills", "identical", "differences", "seconds")}))
    sys.exit(0 if result["identical"] else 1)


def run_test(moments: int, seed: int, precision: str) -> dict[str, Any]:  # Any: a JSON object
    """Train once undisturbed and once with kills; compare."""
    generator = random.Random(seed)
    epochs = max(3, moments)  # a kill lets less than one epoch end
    settings = [*SETTINGS, f"precision={precision}"]
    config = load_config(None, [*settings, f"epochs={epochs}"])
    started = time.monotonic()
    kills: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = RunFolder(Path(folder) / "whole"), RunFolder(Path(folder) / "killed")
        run_process(whole.path, config, None)
        epoch_s = min(row["seconds"] for row in whole.read_metrics())
        for number in range(moments):
            moment = draw_moment(PLACES[number % len(PLACES)], epoch_s, generator)
            if not run_process(killed.path, config, moment):
                break  # it came to its end before
            kills.append({**asdict(moment), "finished_epochs": len(killed.read_metrics())})
            print(f"{number + 1}/{moments}: {kills[-1]}", file=sys.stderr, flush=True)
        run_process(killed.path, config, None)
        differences = compare(whole, killed)
    return {
        "schema": SCHEMA,
        "lightdepth_version": __version__,
        "machine": describe_machine().to_dict(),
        "settings": settings,
        "epochs": epochs,
        "steps_per_epoch": -(-TRAINING_PAIRS // 4),
        "kills": len(kills),
        "moments": kills,
        "identical": not differences and len(kills) == moments,
        "differences": differences,
        "seconds": round(time.monotonic() - started),
    }


def draw_moment(place: str, epoch_s: float, generator: random.Random) -> Moment:
    """Choose a random passage through a place, or a random time."""
    if place in PASSAGES:
        return Moment(place, generator.randint(1, PASSAGES[place]))
    return Moment(place, delay_s=generator.uniform(0, EPOCHS_OF_ANY_TIME * epoch_s))


def run_process(folder: Path, config: TrainConfig, moment: Moment | None) -> bool:
    """Train or resume in a process of its own; return whether it was killed."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["lightdepth.training.train"])
    process = context.Process(target=train_until, args=(folder, config, moment))
    process.start()
    process.join()
    if process.exitcode not in (0, -9):
        raise SystemExit(f"the training failed with code {process.exitcode} instead of being killed")
    return process.exitcode == -9


def train_until(folder: Path, config: TrainConfig, moment: Moment | None) -> None:
    """Train or resume, with the kill planted."""
    if moment:
        plant(moment)
    train(config, folder, pairs=pairs(), resume=(folder / "config.yaml").exists())


def plant(moment: Moment) -> None:
    """Let this process be killed on passing a place for the n-th time."""
    left = [moment.passage]

    def passed() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), 9)

    import lightdepth.training.train as train_module
    from lightdepth.checkpoints import checkpoint
    from lightdepth.runs import state as run_state

    if moment.place == "step":
        original_update = Stepper._update

        def update(self: Stepper) -> torch.Tensor:
            passed()  # gradients are there, weights not yet changed
            return original_update(self)

        Stepper._update = update
    elif moment.place == "any time":
        original_call = Stepper.__call__
        clock = threading.Timer(moment.delay_s, os.kill, (os.getpid(), 9))

        def call(self: Stepper, batch: Sample) -> None:
            if not clock.is_alive():
                clock.start()
            original_call(self, batch)

        Stepper.__call__ = call
    elif moment.place == "state":  # each file of a state is a passage: between writing, summing and renaming
        original_flush = run_state._flush

        def flush(path: Path) -> None:
            original_flush(path)
            passed()

        run_state._flush = flush
    elif moment.place == "checkpoint":
        original_save = checkpoint.save_file

        def save(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str]) -> None:
            original_save(tensors, path, metadata=metadata)
            with path.open("r+b") as file:  # half written
                file.truncate(path.stat().st_size // 2)
            passed()
            original_save(tensors, path, metadata=metadata)

        checkpoint.save_file = save
    elif moment.place == "validation":
        original_validate = train_module.validate

        def validate(*arguments: Any, **options: Any) -> EvalResult:  # Any: passed on as they are
            result = original_validate(*arguments, **options)
            passed()
            return result

        train_module.validate = validate
    else:

        def log(*arguments: Any) -> None:  # Any: passed on as they are
            log_epoch(*arguments)
            passed()  # metrics are written, the state is not

        train_module.log_epoch = log


def compare(one: RunFolder, other: RunFolder) -> list[str]:
    """Name everything in which two finished runs differ."""
    found = []
    for name in ("best", "last"):
        first, second = (load_file(run.path / f"{name}.safetensors") for run in (one, other))
        found += [f"{name}: {key}" for key in first if not torch.equal(first[key], second[key])]
    one_state, other_state = (run.states()[-1] for run in (one, other))
    found += [path.name for path in sorted(one_state.iterdir()) if not is_same_file(path, other_state / path.name)]
    rows = [[{k: v for k, v in row.items() if k not in TIMES} for row in run.read_metrics()] for run in (one, other)]
    return found + ([] if rows[0] == rows[1] else ["metrics.jsonl"])


def is_same_file(one: Path, other: Path) -> bool:
    """Compare two files of a training state by their bytes, or by the values that PyTorch reads from them."""
    if one.read_bytes() == other.read_bytes():
        return True
    if one.suffix == ".json":  # the checksums of the others
        return True
    return is_same(*(torch.load(path, weights_only=False) for path in (one, other)))  # this script's own files


def is_same(one: Any, other: Any) -> bool:  # Any: nested values of a training state
    """Compare nested values bit by bit."""
    if isinstance(one, torch.Tensor | np.ndarray):
        return torch.equal(torch.as_tensor(one), torch.as_tensor(other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(is_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(is_same, one, other))
    return one == other


def pairs() -> tuple[PairSet, PairSet]:
    """Return a few of the real pairs that ship with the package."""
    root = Path(lightdepth.__file__).parent / "demo_data"
    return load_pairs(root, "train").spread(TRAINING_PAIRS), load_pairs(root, "test").spread(VALIDATION_PAIRS)


if __name__ == "__main__":
    main()
