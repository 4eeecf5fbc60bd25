"""A bench from files: open each on its device, time them all in one run, close them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..backends.device import cuda_index
from ..images.decode import read_image
from ..progress import track
from .bench import bench
from .candidate import open_candidate
from .machine import usable_cores
from .matmul_peak import measure_matmul_gflops
from .result import BenchResult
from .timing import Schedule

__all__ = ["BenchOptions", "plan_rows", "read_frame", "run_bench"]

# A camera's usual size; the frame of a bench that is given none.
FRAME_HEIGHT, FRAME_WIDTH = 480, 640


@dataclass(frozen=True)
class BenchOptions:
    """What holds for every model of a bench; without `threads` the usable cores."""

    devices: tuple[str, ...] = ("auto",)
    threads: int | None = None
    rounds: int = 15
    memory: bool = True


def plan_rows(models: Sequence[Path], devices: Sequence[str]) -> list[tuple[Path, str]]:
    """Return each row's file and device: every model on every device, an engine on the GPUs among them, or on one."""
    gpus = [device for device in devices if cuda_index(device) is not None] or ["auto"]
    return [(model, device) for model in models for device in (gpus if model.suffix == ".engine" else devices)]


def run_bench(
    rows: Sequence[tuple[Path, str]], frame: NDArray[np.uint8], *, frame_name: str, options: BenchOptions
) -> BenchResult:
    """Open each row's file on its device, with the same threads, time them, show progress, close them."""
    threads = options.threads or usable_cores()
    candidates = []
    try:
        for path, device in track(rows, "Loading"):
            candidates.append(open_candidate(path, device, threads, memory=options.memory))
            backend = candidates[-1].backend
            if reason := getattr(backend, "device_reason", None):
                print(f"{path.name}: device {backend.device}, {reason}")
        schedule = Schedule(rounds=options.rounds)
        peak = measure_matmul_gflops(threads) if options.memory else None
        return bench(
            candidates,
            frame,
            schedule,
            threads=threads,
            frame_name=frame_name,
            matmul_gflops=peak,
            progress=partial(track, label="Timing rounds"),
        )
    finally:
        for candidate in candidates:
            candidate.backend.close()


def read_frame(image: Path | None) -> tuple[NDArray[np.uint8], str]:
    """Read a frame and name it without its folders; without one, generate a 640x480 frame of smooth colours and noise.

    Raises:
        LightDepthError: the file is not an image.
    """
    if image is not None:
        frame = read_image(image)
        return frame, f"{image.name}, {frame.shape[1]}x{frame.shape[0]}"
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : 1 : FRAME_HEIGHT * 1j, 0 : 1 : FRAME_WIDTH * 1j]
    smooth = np.stack([rows, columns, 1 - rows], axis=2) * 200  # (H, W, 3)
    frame = np.clip(smooth + rng.normal(20, 12, smooth.shape), 0, 255).astype(np.uint8)
    return frame, f"generated, {FRAME_WIDTH}x{FRAME_HEIGHT}"
