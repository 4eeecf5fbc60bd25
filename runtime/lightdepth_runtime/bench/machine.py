"""What a figure was measured on: processor, memory, system and versions; never a host name or a path."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["CpuWatch", "Machine", "describe_machine", "package_versions", "usable_cores"]

PACKAGES = (
    "numpy", "onnxruntime", "onnxruntime-gpu", "opencv-python-headless", "openvino", "tensorrt", "torch", "transformers"
)  # fmt: skip


@dataclass(frozen=True)
class Machine:
    """A machine's fingerprint; sizes in bytes."""

    cpu: str
    physical_cores: int
    usable_cores: int
    memory_bytes: int | None
    os: str
    architecture: str
    python: str
    packages: dict[str, str]
    gpus: list[str]

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the fields for a JSON file."""
        return asdict(self)

    def describe(self) -> str:
        """Say it in one line for people."""
        memory = f", {self.memory_bytes / 2**30:.0f} GiB" if self.memory_bytes else ""
        gpus = f", {', '.join(self.gpus)}" if self.gpus else ""
        return f"{self.cpu}, {self.usable_cores} usable cores{memory}{gpus}, {self.os}, Python {self.python}"


def describe_machine() -> Machine:
    """Read the fingerprint of this machine."""
    return Machine(
        cpu=_cpu_name(),
        physical_cores=_physical_cores(),
        usable_cores=usable_cores(),
        memory_bytes=_memory_bytes(),
        os=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        python=platform.python_version(),
        packages=package_versions(PACKAGES),
        gpus=_nvidia_gpus(),
    )


def usable_cores() -> int:
    """Return how many physical cores this process may use: the thread count that suits a network on a CPU."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, _physical_cores()))


class CpuWatch:
    """Measure how busy the machine was with other work while something ran.

    Reads /proc/stat, so the share is known on Linux alone. It needs no idle phase and does not mistake our own work
    for a load, which the load average does.
    """

    def __init__(self) -> None:
        self._start = _cpu_seconds()
        self._own_start = _own_seconds()

    def others_share(self) -> float | None:
        """Return the share of all CPU time since the start that went to other processes: 0 idle, 1 fully taken."""
        now = _cpu_seconds()
        if self._start is None or now is None:
            return None
        busy, total = (end - start for start, end in zip(self._start, now, strict=True))
        if total <= 0:
            return None
        return min(1.0, max(0.0, (busy - (_own_seconds() - self._own_start)) / total))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def _cpu_seconds() -> tuple[float, float] | None:
    """Return (busy, total) seconds of all cores since boot."""
    try:
        words = Path("/proc/stat").read_text().splitlines()[0].split()[1:9]
    except (OSError, IndexError):
        return None
    user, nice, system, idle, waiting, *rest = (int(word) / os.sysconf("SC_CLK_TCK") for word in words)
    busy = user + nice + system + sum(rest)
    return busy, busy + idle + waiting


def _cpu_name() -> str:
    values = {key: value for processor in reversed(_processors()) for key, value in processor.items()}
    return values.get("model name") or values.get("Model") or platform.processor() or platform.machine()


def _physical_cores() -> int:
    """Count distinct (package, core) pairs; without them every logical core counts as one."""
    places = {(processor.get("physical id"), processor.get("core id")) for processor in _processors()}
    return sum(None not in place for place in places) or os.cpu_count() or 1


def _processors() -> list[dict[str, str]]:
    """Read the `key : value` lines of each block of /proc/cpuinfo: one a processor, and some boards' own."""
    try:
        blocks = Path("/proc/cpuinfo").read_text().split("\n\n")
    except OSError:
        return []
    lines = [[line.partition(":") for line in block.splitlines()] for block in blocks]
    return [{key.strip(): value.strip() for key, separator, value in block if separator} for block in lines]


def _memory_bytes() -> int | None:
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None


def package_versions(names: Iterable[str]) -> dict[str, str]:
    """Return the versions of those packages that are installed."""
    versions = {}
    for name in names:
        with suppress(PackageNotFoundError):
            versions[name] = version(name)
    return versions


def _nvidia_gpus() -> list[str]:
    """Ask nvidia-smi for names, memory and driver; nothing where it isn't or doesn't answer."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return []
    command = [program, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        return []
    return [line.strip() for line in answer.stdout.splitlines() if line.strip()]
