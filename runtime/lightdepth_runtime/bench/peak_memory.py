"""Peak memory and cold start of one model, measured in a fresh process that does nothing else."""

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..backends import open_backend
from ..backends.baseline import is_baseline, open_baseline
from ..errors import LightDepthError

__all__ = ["FreshRun", "measure_fresh_run"]

RUNS = 3
TIMEOUT_S = 600


@dataclass(frozen=True)
class FreshRun:
    """What a process of its own showed: peak resident memory, and the time from its start to the first depth."""

    peak_bytes: int
    cold_start_ms: float


def measure_fresh_run(path: Path, device: str, threads: int | None) -> FreshRun:
    """Measure a process that starts, loads a model and runs it three times; the cold start ends with the first run.

    The interpreter and the backend's libraries (about 60 MB for ONNX Runtime, several hundred for PyTorch) are part of
    it: that is what a robot pays. Memory on a GPU is not counted.

    Raises:
        LightDepthError: the process failed; its last line is passed on.
    """
    command = [sys.executable, "-m", __name__, str(path), device, str(threads or 0)]
    start_s = time.time()  # a clock that both processes read
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise LightDepthError(
            f"Measuring the memory of {path.name} took over {TIMEOUT_S} s; bench a smaller model."
        ) from error
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise LightDepthError(f"Measuring the memory of {path.name} failed: {last}")
    answer = json.loads(done.stdout.splitlines()[-1])
    return FreshRun(int(answer["peak_bytes"]), (answer["first_depth_s"] - start_s) * 1e3)


def _peak_bytes() -> int:
    """Return this process's high-water mark. Linux's ru_maxrss includes the parent's before exec, VmHWM doesn't."""
    status = Path("/proc/self/status")
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _main() -> None:
    path, device, threads = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]) or None
    backend = open_baseline(path, device, threads) if is_baseline(path) else open_backend(path, device, threads)
    batch = np.zeros((1, 3, backend.spec.input_height, backend.spec.input_width), np.float32)
    backend.run(batch)
    first_depth_s = time.time()
    for _ in range(RUNS - 1):
        backend.run(batch)
    sys.stdout.write(json.dumps({"peak_bytes": _peak_bytes(), "first_depth_s": first_depth_s}) + "\n")


if __name__ == "__main__":
    _main()
