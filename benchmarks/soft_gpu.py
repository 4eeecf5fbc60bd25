"""PyTorch's part of the product on a GPU that isn't there: what would fail or wait on one, without one.

    python benchmarks/soft_gpu.py [--json FILE]                   # the figures of docs/gpu.md, in five minutes
    python benchmarks/soft_gpu.py lightdepth train --data DIR     # any command

It needs a PyTorch for CUDA, which `pip install torch` brings on Linux, and gcc and binutils. The CUDA runtime is a
library built here from `stub_gpu/`, whose device memory is the host's, and the CPU's kernels compute in it
(`soft_gpu/soft_torch.py`). All above is PyTorch's own: autograd, autocast to FP16, gradient scaling, pinned memory,
streams. So results are right to a CPU's rounding, and a tensor on the wrong device, a value that the host waits for or
an operation that no CUDA graph can hold shows. It says nothing of speed, nor of what CUDA's own kernels compute.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stub_gpu import compile_library, run

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine

SCHEMA = "lightdepth.soft-gpu/1"
INSIDE = "SOFT_GPU"  # set where this program runs on that GPU
KILLS = 18
FIRST_STEP, LAST_STEP = 2, 22  # outcomes are read after 25


def main() -> None:
    """Build the library, start the command with it, or this program for the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", type=Path, help="file to write; default: none")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="default: measure")
    given = parser.parse_args()
    if INSIDE in os.environ:
        result = measure()
        print(json.dumps(result, indent=1))
        if given.json:
            write_json(given.json, result)
        return
    with tempfile.TemporaryDirectory(prefix="lightdepth-") as folder:
        library = build(Path(folder))
        here = Path(__file__)
        environment = {
            **os.environ,
            INSIDE: "1",
            "LD_PRELOAD": str(library),
            "LD_LIBRARY_PATH": folder,
            "PYTHONPATH": os.pathsep.join([str(here.with_suffix("")), os.environ.get("PYTHONPATH", "")]),
        }
        command = given.command or [sys.executable, *sys.argv]
        raise SystemExit(subprocess.run(command, env=environment, check=False).returncode)


def build(folder: Path) -> Path:
    """Build CUDA's runtime and driver with the names that PyTorch's libraries ask for; return the runtime."""
    spec = importlib.util.find_spec("torch")
    libraries = list(Path(spec.origin).parent.glob("lib/*.so")) if spec and spec.origin else []
    cuda = [library for library in libraries if library.name == "libtorch_cuda.so"]
    if not cuda:
        sys.exit("Error: PyTorch here is built without CUDA; pip install torch brings one with it on Linux (x86-64)")
    name = re.findall(r"\[(libcudart\.so\.\d+)\]", run("readelf", "-d", str(cuda[0])))[0]
    wanted = re.findall(r" U (\w+)", run("nm", "-D", "--undefined-only", *map(str, libraries)))
    major = name.rpartition(".")[2]
    runtime, driver = ({s for s in wanted if re.match(p, s)} for p in (r"(__)?cuda[A-Z]", r"cu[A-Z]"))
    compile_library(folder, name, runtime, major)
    compile_library(folder, "libcuda.so.1", driver, major)
    return folder / name


def measure() -> dict[str, Any]:  # Any: JSON values
    """Compare recorded networks with the CPU's, watch training steps, and kill a training in FP16."""
    import torch

    with tempfile.TemporaryDirectory(prefix="lightdepth-") as folder:
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "machine": describe_machine().to_dict(),
            "torch": torch.__version__,
            "recorded_against_cpu": {name: recorded_difference(name) for name in ("fp32", "fp16")},
            "training_steps": watch_training(Path(folder)),
            "kill_test": kill(Path(folder) / "kills.json"),
        }


def recorded_difference(precision: str) -> float:
    """Return the largest relative difference of the shipped checkpoint's depth, recorded against on the CPU."""
    import numpy as np

    from lightdepth.checkpoints.backend import open_checkpoint
    from lightdepth.checkpoints.find import find_checkpoint
    from lightdepth.export import DEMO_DATA
    from lightdepth_runtime.images.preprocess import preprocess
    from lightdepth_runtime.pairs import load_pairs

    path = find_checkpoint("lite0")
    on_gpu = open_checkpoint(path, "cuda" if precision == "fp32" else "cuda-fp16", None)
    on_cpu = open_checkpoint(path, "cpu", None)
    worst = 0.0
    for pair in load_pairs(DEMO_DATA, "test").spread(4).pairs:
        batch = preprocess(pair.read().image, on_cpu.spec)[None]
        worst = max(worst, float(np.abs(on_gpu.run(batch) / on_cpu.run(batch) - 1).max()))
    assert on_gpu.device_reason == "as asked for", on_gpu.device_reason
    return worst


def watch_training(folder: Path) -> dict[str, Any]:  # Any: JSON values
    """Train `lite0` in FP16 with two data workers: on truth alone, and with a teacher whose features are matched."""
    from lightdepth.config import check_config
    from lightdepth.export import DEMO_DATA
    from lightdepth.training.train import train

    found, teacher = {}, {}
    settings = {
        "model": "lite0",
        "encoder_weights": "none",
        "data_root": str(DEMO_DATA),
        "val_fraction": 0.0,
        "image_height": 64,
        "image_width": 96,
        "batch_size": 2,
        "num_workers": 2,
        "epochs": 1,
        "passes_per_epoch": 3,
    }
    for objective in ("truth", "teacher and its features"):
        with _watched() as watched:
            train(
                check_config({**settings, **teacher}), folder / objective, say=lambda line: print(line, file=sys.stderr)
            )
        found[objective] = watched
        teacher = {
            "distill_from": str(folder / objective / "best.safetensors"),
            "feature_weight": 0.1,
            "teacher_cache": str(folder / "labels"),
        }
    return found


@contextmanager
def _watched() -> Iterator[dict[str, Any]]:  # Any: JSON values
    """Count what the steps between two of them did, the batches' way to the device with them."""
    from soft_torch import OPERATIONS, WAITS  # pyright: ignore[reportMissingImports]  # see PYTHONPATH above

    from lightdepth.data.sample import Sample
    from lightdepth.training.stepper import Stepper

    original, totals = Stepper.__call__, list[int]()  # operations before each step
    found: dict[str, Any] = {}

    def call(self: Stepper, batch: Sample) -> None:
        totals.append(OPERATIONS.total())
        if len(totals) == FIRST_STEP:
            WAITS.clear()
        if len(totals) == LAST_STEP:
            steps = LAST_STEP - FIRST_STEP
            operations = round((totals[-1] - totals[-1 - steps]) / steps)
            found.update(steps=steps, operations_a_step=operations, waits=dict(WAITS))
        original(self, batch)

    Stepper.__call__ = call
    try:
        yield found
    finally:
        Stepper.__call__ = original
    assert found, f"an epoch of over {LAST_STEP} steps"


def kill(result: Path) -> dict[str, Any]:  # Any: JSON values
    """Kill and resume a training in FP16; see `kill_test.py`."""
    program = str(Path(__file__).with_name("kill_test.py"))
    command = [sys.executable, program, "--on-gpu", "--moments", str(KILLS), "--json", str(result)]
    subprocess.run(command, check=False, stdout=sys.stderr)
    values = json.loads(result.read_text(encoding="utf-8"))
    return {key: values[key] for key in ("settings", "kills", "identical", "differences")}


if __name__ == "__main__":
    main()
