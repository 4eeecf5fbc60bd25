import getpass
import json
import os
import platform
import socket
from pathlib import Path

import pytest

from lightdepth_runtime.bench import machine
from lightdepth_runtime.bench.machine import CpuWatch, describe_machine, usable_cores


def test_the_fingerprint_names_processor_memory_system_and_versions():
    values = describe_machine().to_dict()
    assert values["cpu"]
    assert values["python"] == platform.python_version()
    assert 1 <= values["usable_cores"] <= (os.cpu_count() or 1)
    assert values["packages"]["numpy"]
    json.dumps(values, allow_nan=False)


def test_the_fingerprint_tells_neither_host_nor_user_nor_folders():
    text = json.dumps(describe_machine().to_dict())
    for secret in (socket.gethostname(), str(Path.cwd()), str(Path.home())):
        assert secret not in text
    user = getpass.getuser()
    assert user not in text.split('"')


def test_usable_cores_stay_within_what_the_process_may_use(monkeypatch):
    monkeypatch.setattr(machine, "_physical_cores", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2}, raising=False)
    assert usable_cores() == 3
    monkeypatch.setattr(machine, "_physical_cores", lambda: 2)
    assert usable_cores() == 2


@pytest.mark.parametrize(
    ("busy", "own", "share"),
    [(80.0, 0.0, 0.8), (80.0, 60.0, 0.2), (0.0, 0.0, 0.0), (10.0, 30.0, 0.0)],
    ids=["all of it others'", "most of it ours", "idle", "counters that disagree"],
)
def test_the_watch_takes_our_own_work_off_the_load(monkeypatch, busy, own, share):
    stats, times = iter([(1000.0, 5000.0), (1000.0 + busy, 5100.0)]), iter([7.0, 7.0 + own])
    monkeypatch.setattr(machine, "_cpu_seconds", lambda: next(stats))
    monkeypatch.setattr(machine, "_own_seconds", lambda: next(times))
    assert CpuWatch().others_share() == pytest.approx(share)


def test_the_watch_says_nothing_where_the_system_does_not_tell(monkeypatch):
    monkeypatch.setattr(machine, "_cpu_seconds", lambda: None)
    assert CpuWatch().others_share() is None
