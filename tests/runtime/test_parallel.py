"""Several processes give what one gives, end at once, and name the item that killed one."""

import math
import multiprocessing
import multiprocessing.context
import multiprocessing.process
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial

import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.parallel import IN_FLIGHT, Workers, worker_context, worker_count

SLEEPS = """
import signal, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a run in the background ignores interrupts
from lightdepth_runtime.parallel import Workers
if __name__ == "__main__":
    with Workers(2) as pool:
        for done in pool.map(time.sleep, [0.01, 60, 60, 60]):
            print("first", flush=True)
"""
WRITES = """
import pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.parallel import Workers

def hold_half_written(path):
    with atomic_path(path) as temporary:
        temporary.write_text("half")
        time.sleep(60)

if __name__ == "__main__":
    with Workers(2) as pool:
        list(pool.map(hold_half_written, [pathlib.Path(sys.argv[1], name) for name in ("a.bin", "b.bin")]))
"""


def ordered_map(function, items, workers, **more):
    with Workers(workers) as pool:
        yield from pool.map(function, items, **more)


def start(script, *arguments):
    return subprocess.Popen(
        [sys.executable, script, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )


def wait_until(holds):
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_items_order(workers):
    slow_first = [0.2, 0.0, 0.1, 0.0]
    assert list(ordered_map(partial(math.pow, 2), range(20), workers)) == [2.0**n for n in range(20)]
    assert list(ordered_map(time.sleep, slow_first, workers)) == [None] * 4


def test_items_are_read_only_a_little_ahead():
    read = []

    def items():
        for n in range(100):
            read.append(n)
            yield float(n)

    results = ordered_map(math.sqrt, items(), 2)
    assert next(results) == 0
    assert len(read) <= 2 * IN_FLIGHT
    results.close()


def test_a_killed_worker_is_named():
    with pytest.raises(LightDepthError, match=r"picture 7.*--workers"):
        list(ordered_map(os._exit, [7], 2, name=lambda code: f"picture {code}"))


def test_an_items_error_comes_at_its_turn():
    results = ordered_map(math.sqrt, [4.0, -1.0, 9.0], 2)
    assert next(results) == 2
    with pytest.raises(ValueError, match="domain"):
        next(results)


def test_an_interrupt_ends_workers_that_are_busy(tmp_path):
    script = tmp_path / "sleeps.py"
    script.write_text(SLEEPS)
    process = start(script)
    assert process.stdout.readline() == "first\n"
    begun = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the command
    assert process.wait(timeout=20) != 0
    assert time.monotonic() - begun < 10
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("a worker outlived the command")


def test_an_ended_worker_leaves_nothing_half_written(tmp_path):
    script, outputs = tmp_path / "writes.py", tmp_path / "outputs"
    script.write_text(WRITES)
    outputs.mkdir()
    process = start(script, outputs)
    wait_until(lambda: len(list(outputs.iterdir())) == 2)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(timeout=20) != 0
    wait_until(lambda: not any(outputs.iterdir()))


def test_workers_end_with_the_process_that_started_them(tmp_path):
    script, outputs = tmp_path / "writes.py", tmp_path / "outputs"
    script.write_text(WRITES)
    outputs.mkdir()
    process = start(script, outputs)
    wait_until(lambda: len(list(outputs.iterdir())) == 2)
    process.kill()  # it can't tell them
    wait_until(lambda: not any(outputs.iterdir()))


def test_two_maps_share_the_workers():
    with Workers(2) as pool:
        roots = pool.map(math.sqrt, (float(n) for n in range(30)))
        assert list(pool.map(math.exp, roots)) == [math.exp(math.sqrt(n)) for n in range(30)]


def test_few_items_start_no_process(monkeypatch):
    monkeypatch.setattr("lightdepth_runtime.bench.machine.usable_cores", lambda: 8)
    assert [worker_count(None, items) for items in (5, 100)] == [1, 8]
    assert worker_count(3, 5) == 3
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert worker_count(None, 100) == 2


def test_a_long_temporary_folder_leaves_room_for_sockets(monkeypatch, tmp_path):
    folder = tmp_path / ("long" * 25)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    settings = multiprocessing.process.current_process()._config
    monkeypatch.delitem(settings, "tempdir", raising=False)
    worker_context()
    assert settings["tempdir"].startswith("/tmp/pymp-")
    assert tempfile.gettempdir() == str(folder)


@pytest.mark.parametrize("start", [lambda: worker_context(3), lambda: Workers(2)])
def test_locks_that_find_no_room_are_an_error_with_the_ways_out(monkeypatch, start):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(multiprocessing.context.BaseContext, "Event", full)
    with pytest.raises(LightDepthError, match=r"No space left.*/dev/shm.*--shm-size.*--workers 1.*num_workers 0"):
        start()
