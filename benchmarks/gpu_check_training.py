"""The training part of `gpu_check.py`: images/s of both networks, on packed and on plain pairs.

A program of its own, and PyTorch is imported where it is used: each data worker starts with this file's imports.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.bench.machine import usable_cores
from lightdepth_runtime.errors import LightDepthError

PAIRS = 64  # written to disk; an epoch passes over them several times
# network: batch, passes over the pairs an epoch
SIZES = {"resnet18": (32, 48), "lite0": (64, 96)}
SMOKE = {"resnet18": (2, 1), "lite0": (2, 1)}


def measure_training(folder: Path, *, smoke: bool, seconds: float) -> Iterator[tuple[str, dict[str, Any]]]:
    """Train for two short epochs each; yield each run's name and figures, of which images/s are the second epoch's.

    A run is not begun once three quarters of the time are spent.
    """
    from lightdepth.prepare.pack import pack_data

    started = time.monotonic()
    plain = write_pairs(folder / "pairs", 4 if smoke else PAIRS)
    pack_data(plain, folder / "packed")
    for model, (batch, passes) in (SMOKE if smoke else SIZES).items():
        for form, data in (("packed", folder / "packed"), ("plain", plain)):
            if time.monotonic() - started > 0.75 * seconds:
                yield f"{model} {form}", {"left_out": "the time is up"}
                continue
            try:
                yield f"{model} {form}", _train(model, data, folder / "runs" / f"{model}-{form}", batch, passes, smoke)
            except Exception as error:  # the other runs are still wanted
                yield f"{model} {form}", {"failed": f"{type(error).__name__}: {error}"[:400]}


def _train(model: str, data: Path, output: Path, batch: int, passes: int, smoke: bool) -> dict[str, Any]:
    from lightdepth.config import check_config
    from lightdepth.training.train import train

    size = {"image_height": 64, "image_width": 96} if smoke else {}
    workers = 0 if smoke else max(2, usable_cores() - 2)
    settings: dict[str, Any] = {
        "model": model,
        "encoder_weights": "none",
        "data_root": str(data),
        "val_fraction": 0.0,
        "epochs": 2,
        "passes_per_epoch": passes,
        "batch_size": batch,
        "num_workers": workers,
        **size,
    }
    started = time.monotonic()
    run = train(check_config(settings), output, say=print)
    rows = [json.loads(line) for line in run.metrics_path.read_text(encoding="utf-8").splitlines()]
    return {
        "batch_size": batch,
        "workers": workers,
        "images_per_s": rows[-1]["images_per_s"],
        "first_epoch_images_per_s": rows[0]["images_per_s"],
        "first_batch_s": rows[0].get("first_batch_s"),
        "whole_run_s": time.monotonic() - started,
    }


def write_pairs(folder: Path, count: int) -> Path:
    """Write pairs of 640x480, JPEG and 16-bit PNG, of smooth colours and depth with noise, as pair lists."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    lines = []
    for number in range(count):
        name = f"scene{number % 8}/{number:03d}"
        (folder / name).parent.mkdir(exist_ok=True)
        coarse = rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC).astype(np.int16)
        image = np.clip(image + rng.integers(-12, 13, image.shape), 0, 255).astype(np.uint8)
        depth = cv2.resize(rng.uniform(800, 6000, (6, 8)).astype(np.float32), (640, 480)).astype(np.uint16)
        cv2.imwrite(str(folder / f"{name}.jpg"), image)
        cv2.imwrite(str(folder / f"{name}.png"), depth)
        lines.append(f"{name}.jpg {name}.png\n")
    (folder / "train.txt").write_text("".join(lines), encoding="utf-8")
    return folder


def main() -> None:
    """Run the part and write its values as they come."""
    parser = argparse.ArgumentParser()
    parser.add_argument("files", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    if not given.smoke:
        open_cuda()  # says what is missing
    runs = {}
    for name, run in measure_training(given.files, smoke=given.smoke, seconds=given.seconds):
        runs[name] = run
        write_json(given.result, {"runs": runs})


if __name__ == "__main__":
    try:
        main()
    except LightDepthError as problem:
        sys.exit(f"Error: {problem}")
