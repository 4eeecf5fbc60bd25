"""What the runtime adds to a network: processing around the bare session, import, and the way to the first depth.

Usage: python benchmarks/runtime_overhead.py MODEL.onnx... [--threads 2] [--json FILE]

For each model and frame size the bare backend, the processing around it and the whole estimator take turns in one
run. The overhead is the median over rounds of (processing / session); the whole call is there to check the sum.
Import time (over numpy's, which is imported before) and the time from process start to the first depth are medians over
fresh processes.
"""

import subprocess
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine, usable_cores
from lightdepth_runtime.bench.timing import Samples, Schedule, time_interleaved
from lightdepth_runtime.images.preprocess import FrameBuffers, preprocess, resize_depth
from lightdepth_runtime.progress import track

FRAMES = ((480, 640), (720, 1280))
PROCESSES = 7
IMPORT = """
import time, numpy
start = time.perf_counter()
import lightdepth_runtime
print(time.perf_counter() - start)
"""
FIRST_DEPTH = """
import sys, numpy, lightdepth_runtime
lightdepth_runtime.DepthEstimator.load(sys.argv[1], "cpu")(numpy.zeros((480, 640, 3), numpy.uint8))
"""


def main(
    models: list[Path],
    threads: Annotated[int | None, typer.Option(help="Of the network and of OpenCV; the usable cores.")] = None,
    rounds: Annotated[int, typer.Option()] = 15,
    turn_ms: Annotated[float, typer.Option(help="How long each takes its turn in a round.")] = 150.0,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print a line for each model and frame size; write the JSON where asked."""
    threads = threads or usable_cores()
    cv2.setNumThreads(threads)
    rows = []
    import_s = float(np.median([float(_run(IMPORT)[1]) for _ in range(PROCESSES)]))
    print(f"import of lightdepth_runtime over numpy: {import_s:.3f} s")
    for model in models:
        first_s = float(np.median([_run(FIRST_DEPTH, str(model))[0] for _ in range(PROCESSES)]))
        print(f"{model.name}: {first_s:.2f} s from process start to the first depth")
        with DepthEstimator.load(model, "cpu", threads) as estimator:
            for height, width in FRAMES:
                row = measure(estimator, height, width, Schedule(rounds=rounds, turn_ms=turn_ms))
                rows.append({**row, "first_depth_s": first_s})
                print(
                    "{model} {frame_width}x{frame_height}: session {session_ms_p50:.2f} ms, around it "
                    "{around_ms_p50:.2f} ms, overhead {overhead:.1%}, whole call {whole_ms_p50:.2f} ms".format(
                        **rows[-1]
                    )
                )
    if json:
        machine = {**describe_machine().to_dict(), "threads": threads}
        schema = "lightdepth.runtime-overhead/1"
        write_json(json, {"schema": schema, "machine": machine, "import_s": import_s, "rows": rows})


def measure(estimator: DepthEstimator, height: int, width: int, schedule: Schedule) -> dict[str, Any]:
    """Time the parts on one frame size; returns a row of the JSON."""
    spec, backend = estimator.spec, estimator.backend
    rng = np.random.default_rng(0)
    smooth = cv2.resize(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8), (width, height))
    frame = cv2.add(smooth, rng.integers(0, 12, smooth.shape, dtype=np.uint8))
    batch = np.empty((1, 3, spec.input_height, spec.input_width), np.float32)
    buffers = FrameBuffers(spec.input_height, spec.input_width)
    preprocess(frame, spec, batch[0], buffers=buffers)
    output = backend.run(batch)[0, 0]

    def around() -> None:
        preprocess(frame, spec, batch[0], buffers=buffers)
        resize_depth(output, height, width)

    calls = [lambda: backend.run(batch), around, lambda: estimator(frame)]
    label = f"{spec.name} {width}x{height}"
    session, processing, whole = time_interleaved(
        calls, schedule, progress=lambda numbers: track(numbers, label, len(numbers))
    )
    return {
        "model": spec.name,
        "input_height": spec.input_height,
        "input_width": spec.input_width,
        "frame_height": height,
        "frame_width": width,
        "overhead": _median_ratio(processing, session),
        **{
            f"{name}_ms_p{percent}": samples.percentile_ms(percent)
            for name, samples in (("session", session), ("around", processing), ("whole", whole))
            for percent in (50, 95)
        },
    }


def _run(code: str, *arguments: str) -> tuple[float, str]:
    """Run code in a fresh interpreter; return its wall time in seconds and what it printed."""
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return time.perf_counter() - start, done.stdout


def _median_ratio(part: Samples, base: Samples) -> float:
    pairs = zip(part.round_medians_ms(), base.round_medians_ms(), strict=True)
    return float(np.median([a / b for a, b in pairs]))


if __name__ == "__main__":
    typer.run(main)
