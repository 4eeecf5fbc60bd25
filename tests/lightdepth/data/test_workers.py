"""A killed training leaves no worker behind, which would keep its memory for ever."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

SCRIPT = """
import time
from torch.utils.data import DataLoader
from lightdepth.data.workers import START_METHOD, start_worker, start_worker_server

start_worker_server()
numbers = list(range(1000))
batches = iter(DataLoader(numbers, num_workers=2, worker_init_fn=start_worker, multiprocessing_context=START_METHOD))
next(batches)
print(*[worker.pid for worker in batches._workers], flush=True)
time.sleep(60)
"""


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_workers_end_with_a_training_that_was_killed():
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in process.stdout.readline().split()]
    assert len(workers) == 2
    assert all(map(is_running, workers))
    process.send_signal(signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while any(map(is_running, workers)) and time.monotonic() < deadline:
        time.sleep(0.05)
    left = [pid for pid in workers if is_running(pid)]
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


@pytest.mark.slow
def test_workers_leave_an_interrupt_to_the_training():
    """A terminal sends Ctrl-C to every process of a command; each worker would print a traceback."""
    process = subprocess.Popen([sys.executable, "-c", SCRIPT], stdout=subprocess.PIPE, text=True)
    workers = [int(word) for word in process.stdout.readline().split()]
    for pid in workers:
        os.kill(pid, signal.SIGINT)
    time.sleep(1)
    still = [is_running(pid) for pid in workers]
    process.kill()
    process.wait()
    assert still == [True, True]
