"""Does a robot's memory stay as it is? Many frames through one estimator, resident memory after the first thousand.

Usage: python benchmarks/soak.py [MODEL.onnx] [--frames 20000] [--threads 1] [--json FILE]

Without MODEL it takes the shipped one. Frames of four sizes take turns, as an estimator shared by cameras sees them;
the claim is that resident memory grows by under 1 % from the thousandth frame to the last. Linux only.
"""

import os
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.progress import track

FRAME_SIZES = ((480, 640), (192, 256), (720, 1280), (101, 67))
SETTLED_AFTER = 1000  # frames: allocators, thread pools and caches have their size by then
SAMPLE_EVERY = 100
ALLOWED_GROWTH = 0.01


def main(
    model: Annotated[Path | None, typer.Argument()] = None,
    frames: Annotated[int, typer.Option(min=2 * SETTLED_AFTER)] = 20_000,
    threads: Annotated[int, typer.Option(min=1)] = 1,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print the growth; exit with 1 where it is over the claim."""
    cv2.setNumThreads(threads)
    start = time.perf_counter()
    with DepthEstimator.load(model, "cpu", threads) as estimator:
        resident = soak(estimator, frames)
        spec = estimator.spec
    settled = [row["resident_bytes"] for row in resident if row["frame"] >= SETTLED_AFTER]
    growth = max(settled) / settled[0] - 1
    result = {
        "schema": "lightdepth.soak/1",
        "machine": {**describe_machine().to_dict(), "threads": threads},
        "model": spec.name,
        "input_height": spec.input_height,
        "input_width": spec.input_width,
        "frame_sizes": [f"{width}x{height}" for height, width in FRAME_SIZES],
        "frames": frames,
        "seconds": time.perf_counter() - start,
        "resident_bytes_settled": settled[0],
        "resident_bytes_most": max(settled),
        "growth": growth,
        "needed": ALLOWED_GROWTH,
        "holds": growth < ALLOWED_GROWTH,
        "samples": resident,
    }
    print(
        f"{spec.name} {spec.input_width}x{spec.input_height}: {frames} frames, {settled[0] / 1e6:.1f} MB resident "
        f"after {SETTLED_AFTER}, at most {max(settled) / 1e6:.1f} MB later: {growth:+.2%}, "
        f"needed under {ALLOWED_GROWTH:.0%}"
    )
    if json:
        write_json(json, result)
    if not result["holds"]:
        raise typer.Exit(1)


def soak(estimator: DepthEstimator, frames: int) -> list[dict[str, Any]]:
    """Run the frames; return resident memory every hundredth."""
    images = [_frame(height, width) for height, width in FRAME_SIZES]
    resident = []
    for number in track(range(1, frames + 1), "Soaking", frames):
        depth_m = estimator(images[number % len(images)])
        assert np.isfinite(depth_m).all(), f"frame {number} has depth that is not finite"
        if number % SAMPLE_EVERY == 0:
            resident.append({"frame": number, "resident_bytes": _resident_bytes()})
    return resident


def _frame(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng(height)
    smooth = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (width, height))
    return np.asarray(cv2.add(smooth, rng.integers(0, 12, smooth.shape, dtype=np.uint8)), np.uint8)


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    typer.run(main)
