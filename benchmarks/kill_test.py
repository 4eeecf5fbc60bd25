"""Kill a training at random moments, resume it each time, and compare its end with an uninterrupted run's.

Run: python benchmarks/kill_test.py [--moments 20] [--json FILE]

Each moment is a `kill -9` of a training process: in a step, in a write of the training state or of a checkpoint, in
validation, or at any time. One process takes all of them in turn, each resumed by the next. At its end the weights,
the averaged weights and the metrics must equal, bit by bit, those of a run that nothing disturbed. CPU, FP32, on real
pairs that ship with the package.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

import lightdepth
from lightdepth.config import TrainConfig, load_config
from lightdepth.run_folder import RunFolder
from lightdepth.run_log import log_epoch
from lightdepth.stepper import Stepper
from lightdepth.train import train
from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluate import EvalResult
from lightdepth_runtime.machine import describe_machine
from lightdepth_runtime.pairs import PairSet, load_pairs

SCHEMA = "lightdepth.kill_test/1"
PLACES = ("step", "state", "checkpoint", "validation", "metrics")
SETTINGS = (
    "encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]", "image_height=64", "image_width=96",
    "batch_size=2", "num_workers=0", "num_threads=1", "precision=fp32", "warmup_share=0.2",
)  # fmt: skip
TRAINING_PAIRS, VALIDATION_PAIRS = 6, 2
TIMES = ("seconds", "images_per_s")
STEPS_PER_EPOCH = TRAINING_PAIRS // 2


@dataclass(frozen=True)
class Moment:
    """Where to kill: on the `count`-th passage through a place after the start or resume."""

    place: str
    count: int


def main() -> None:
    """Parse, run, and exit with 1 where anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--moments", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path, default=None)
    parser.add_argument("--work-in", type=Path, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--epochs", type=int, default=None, help=argparse.SUPPRESS)
    parser.add_argument("--kill", default=None, help=argparse.SUPPRESS)  # in a child: place,count
    arguments = parser.parse_args()
    if arguments.kill is not None:
        place, count = arguments.kill.split(",")
        run_child(arguments.work_in, arguments.epochs, Moment(place, int(count)))
        return
    result = run_test(arguments.moments, arguments.seed)
    if arguments.json:
        write_json(arguments.json, result)
    print(json.dumps({key: result[key] for key in ("kills", "places", "identical", "differences")}))
    sys.exit(0 if result["identical"] else 1)


def run_test(moments: int, seed: int) -> dict[str, object]:
    """Train once undisturbed and once with kills; compare."""
    generator = random.Random(seed)
    # An epoch is passed only where a kill lets it end: two of three kills do, so that they spread over the run.
    epochs = max(3, moments)
    with tempfile.TemporaryDirectory() as folder:
        whole, killed = Path(folder) / "whole", Path(folder) / "killed"
        train(settings(epochs), whole, pairs=pairs())
        places: dict[str, int] = {}
        kills = 0
        for number in range(moments):
            place = PLACES[number % len(PLACES)]
            most = {"step": 2 * STEPS_PER_EPOCH, "state": 30}.get(place, 2)
            moment = Moment(place, generator.randint(1, most))
            if start_child(killed, epochs, moment):
                kills += 1
                places[place] = places.get(place, 0) + 1
                print(f"{number + 1}/{moments}: killed in {place}, passage {moment.count}", file=sys.stderr)
        train(settings(epochs), killed, pairs=pairs(), resume=True)
        differences = compare(RunFolder(whole), RunFolder(killed))
    return {
        "schema": SCHEMA,
        "lightdepth_version": __version__,
        "machine": describe_machine().to_dict(),
        "epochs": epochs,
        "kills": kills,
        "places": places,
        "identical": not differences and kills > 0,
        "differences": differences,
    }


def start_child(folder: Path, epochs: int, moment: Moment) -> bool:
    """Run a training process until it kills itself; False where it came to its end before."""
    command = [sys.executable, __file__, "--work-in", str(folder), "--epochs", str(epochs)]
    ended = subprocess.run([*command, "--kill", f"{moment.place},{moment.count}"], stderr=subprocess.DEVNULL)
    if ended.returncode not in (0, -9):
        raise SystemExit(f"the training failed with code {ended.returncode} instead of being killed")
    return ended.returncode == -9


def run_child(folder: Path, epochs: int, moment: Moment) -> None:
    """Train or resume, with the kill planted."""
    plant(moment)
    train(settings(epochs), folder, pairs=pairs(), resume=(folder / "config.yaml").exists())


def plant(moment: Moment) -> None:
    """Let this process be killed on passing a place for the n-th time."""
    left = [moment.count]

    def passed() -> None:
        left[0] -= 1
        if left[0] <= 0:
            os.kill(os.getpid(), 9)

    import lightdepth.train as train_module
    from lightdepth import checkpoint, run_state

    if moment.place == "step":
        original_update = Stepper._update

        def update(self: Stepper, names: list[str]) -> None:
            passed()  # gradients are there, weights not yet changed
            original_update(self, names)

        Stepper._update = update
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
        original_evaluate = train_module.evaluate

        def evaluate(*arguments: Any, **options: Any) -> EvalResult:  # Any: passed on as they are
            result = original_evaluate(*arguments, **options)
            passed()
            return result

        train_module.evaluate = evaluate
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
    states = [load_file(run.states()[-1] / "model.safetensors") for run in (one, other)]
    found += [f"state: {key}" for key in states[0] if not torch.equal(states[0][key], states[1][key])]
    rows = [[{k: v for k, v in row.items() if k not in TIMES} for row in run.read_metrics()] for run in (one, other)]
    return found + ([] if rows[0] == rows[1] else ["metrics.jsonl"])


def settings(epochs: int) -> TrainConfig:
    """Return the tiny run's config."""
    return load_config(None, [*SETTINGS, f"epochs={epochs}"])


def pairs() -> tuple[PairSet, PairSet]:
    """Return a few of the real pairs that ship with the package."""
    root = Path(lightdepth.__file__).parent / "demo_data"
    return load_pairs(root, "train").spread(TRAINING_PAIRS), load_pairs(root, "test").spread(VALIDATION_PAIRS)


if __name__ == "__main__":
    main()
