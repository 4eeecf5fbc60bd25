"""What this machine's processor reaches in a matrix product: the yardstick for a network's speed on it."""

import json
import os
import subprocess
import sys
import time

import numpy as np

from ..errors import LightDepthError

__all__ = ["measure_matmul_gflops"]

SIDE = 1024  # large enough that memory traffic is hidden, small enough to take milliseconds
MIN_SECONDS, MIN_PRODUCTS = 0.5, 5
TIMEOUT_S = 120
# What NumPy's linear algebra may be built on; each reads its own variable, once, when it is loaded.
THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "BLIS_NUM_THREADS")


def measure_matmul_gflops(threads: int) -> float:
    """Return the best of many float32 products of 1024 x 1024 in 1e9 operations a second, in a process of its own.

    A multiplication and an addition count as two operations.

    Raises:
        LightDepthError: the process failed.
    """
    environment = {**os.environ, **dict.fromkeys(THREAD_VARIABLES, str(threads))}
    command = [sys.executable, "-m", __name__]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, env=environment, check=True)
    except subprocess.SubprocessError as error:
        raise LightDepthError(
            f"Measuring the matrix product failed ({type(error).__name__}); bench with --no-memory to leave it out."
        ) from error
    return float(json.loads(done.stdout)["gflops"])


def _main() -> None:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((2, SIDE, SIDE), dtype=np.float32)
    product = left @ right
    times_s: list[float] = []
    while sum(times_s) < MIN_SECONDS or len(times_s) < MIN_PRODUCTS:
        start_s = time.perf_counter()
        np.matmul(left, right, out=product)
        times_s.append(time.perf_counter() - start_s)
    sys.stdout.write(json.dumps({"gflops": 2 * SIDE**3 / min(times_s) / 1e9}) + "\n")


if __name__ == "__main__":
    _main()
