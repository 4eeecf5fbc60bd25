"""Two workers against one: whole commands in turns, with the seconds of the processor and of the clock.

Usage: python benchmarks/scale.py --data DIR [--pairs N] [--repeats 5] [--command NAME] [--json FILE]

Each command runs on one core with `--workers 1`, then on two with `--workers 2`, and so on in turns; a network has one
thread. Processor seconds are those of the command and of every process that it started. They say what two idle cores
would need at least: all that starting takes (the same command on one pair), then half of the rest, or all that the main
process does, where that is more. A busy machine changes the clock: its figures are left out where other programs had
over a tenth of the processor. `data check` and `data pack` get every pair four times: they are so fast that starting
would count for more than the work.

FILE keeps what it has of other commands.
"""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import CpuWatch, describe_machine
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.lists.rows import format_row

SCHEMA = "lightdepth.scale/1"
ADOPT_ORPHANS = 36  # prctl's PR_SET_CHILD_SUBREAPER: workers whose command has ended are this process's to wait for
ONE_THREAD = ("--threads", "1")
COMMANDS: dict[str, Callable[[Path, Path], list[str]]] = {
    "data check": lambda data, out: ["data", "check", str(data), "--json", str(out / "check.json")],
    "data pack": lambda data, out: ["data", "pack", str(data), "-o", str(out / "packed")],
    "eval": lambda data, out: [
        "eval",
        "--data",
        str(data),
        "--split",
        "train",
        "--json",
        str(out / "eval.json"),
        *ONE_THREAD,
    ],
    "pseudo-label": lambda data, out: ["pseudo-label", str(data), "-o", str(out / "labels"), *ONE_THREAD],
}
COPIES = {"data check": 4, "data pack": 4}
BUSY = 0.1  # share of the processor that other programs may have


@dataclass(frozen=True)
class Cost:
    """What one run took, in seconds; `main_cpu_s` is the command's own process, `cpu_s` that and all workers."""

    wall_s: float
    cpu_s: float
    main_cpu_s: float

    def least_wall_s(self, cores: int, startup: Cost) -> float:
        """Return what idle cores need at least; starting uses one of them."""
        rest_s, main_s = self.cpu_s - startup.main_cpu_s, self.main_cpu_s - startup.main_cpu_s
        return startup.main_cpu_s + max(main_s, rest_s / cores)


def main(
    data: Annotated[Path, typer.Option(help="Folder of pairs in files, with a split train.")],
    pairs: Annotated[int, typer.Option(min=64, help="How many of them.")] = 512,
    repeats: Annotated[int, typer.Option(min=1, help="Runs of each command with each number of workers.")] = 5,
    command: Annotated[list[str] | None, typer.Option(help="Measure only these commands.")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure, print, write."""
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # not in a /tmp that is memory
        one = _link_pairs(data, Path(folder) / "one", 1)
        for name in command or COMMANDS:
            copies = COPIES.get(name, 1)
            many = _link_pairs(data, Path(folder) / name, pairs, copies)
            watch = CpuWatch()
            startup = {workers: run_command(name, one, workers) for workers in (1, 2)}
            runs = measure(name, many, repeats)
            row = summarise(pairs * copies, startup, runs, watch.others_share())
            print(describe(name, row))
            if json:
                rows = loads(json.read_text())["commands"] if json.is_file() else {}
                machine = describe_machine().to_dict()
                write_json(json, {"schema": SCHEMA, "commands": {**rows, name: row}, "machine": machine})


def measure(name: str, data: Path, repeats: int) -> list[tuple[Cost, Cost]]:
    """Run a command with one and with two workers, in turns."""
    runs: list[tuple[Cost, Cost]] = []
    for _ in range(repeats):
        alone, together = (run_command(name, data, workers) for workers in (1, 2))
        runs.append((alone, together))
        print(f"{name}: {alone.cpu_s:.1f} s and {together.cpu_s:.1f} s of the processor", file=sys.stderr)
    return runs


def summarise(
    pairs: int, startup: dict[int, Cost], runs: list[tuple[Cost, Cost]], others_share: float | None
) -> dict[str, Any]:  # Any: a JSON object
    """Return the figures of one command, each as median, least and most."""
    clock = None
    if others_share is not None and others_share < BUSY:
        clock = {
            "ratio": _spread([alone.wall_s / together.wall_s for alone, together in runs]),
            "pairs_per_s": {str(n + 1): _spread([pairs / costs[n].wall_s for costs in runs]) for n in (0, 1)},
        }
    return {
        "pairs": pairs,
        "others_share_of_cpu": others_share,
        "clock": clock,
        "cpu_ratio": _spread(
            [a.least_wall_s(1, startup[1]) / t.least_wall_s(2, startup[2]) for a, t in runs],
        ),
        "cpu_ms_per_pair": {
            str(n + 1): _spread([1e3 * (costs[n].cpu_s - startup[n + 1].cpu_s) / pairs for costs in runs])
            for n in (0, 1)
        },
        "startup_cpu_s": {str(workers): _processor(cost) for workers, cost in startup.items()},
        "runs_cpu_s": [{"1": _processor(alone), "2": _processor(together)} for alone, together in runs],
    }


def describe(name: str, row: dict[str, Any]) -> str:
    """Say a command's figures in one line."""
    cpu, cost, clock = row["cpu_ratio"], row["cpu_ms_per_pair"]["1"], row["clock"]
    text = f"{name}: {cpu['median']:.2f} times as fast ({cpu['least']:.2f} to {cpu['most']:.2f}) by processor seconds"
    if clock:
        ratio = clock["ratio"]
        text += f", {ratio['median']:.2f} ({ratio['least']:.2f} to {ratio['most']:.2f}) by the clock"
    return f"{text}; {cost['median']:.1f} ms a pair and core"


def _processor(cost: Cost) -> dict[str, float]:
    return {"all": cost.cpu_s, "main": cost.main_cpu_s}


def run_command(name: str, data: Path, workers: int) -> Cost:
    """Run a command on as many cores as workers."""
    with tempfile.TemporaryDirectory(dir=data.parent) as out:
        return run([*COMMANDS[name](data, Path(out)), "--workers", str(workers)], workers)


def run(arguments: list[str], cores: int) -> Cost:
    """Run `lightdepth` on so many cores, and wait for all that it started."""
    chosen = sorted(os.sched_getaffinity(0))[:cores]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begun = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "lightdepth", *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=lambda: os.sched_setaffinity(0, chosen),
    )
    _, status, own = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall_s = time.monotonic() - begun
    _wait_for_orphans()
    if process.returncode not in (0, 1):  # 1: what `data check` finds
        raise SystemExit(f"{' '.join(arguments)} ended with {process.returncode}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s, own.ru_utime + own.ru_stime)


def _wait_for_orphans() -> None:
    try:
        while True:
            os.wait()
    except ChildProcessError:
        return


def _link_pairs(data: Path, folder: Path, count: int, copies: int = 1) -> Path:
    """Make a folder of some of the pairs, evenly spread, each a few times: links, and a list of the split train."""
    chosen = load_pairs(data, "train").spread(count).pairs
    assert len(chosen) == count, f"{data} has only {len(chosen)} pairs"
    rows = []
    for copy, pair in product(range(copies), chosen):
        assert isinstance(pair, FilePair), "the commands are measured on files"
        links = [folder / f"{pair.scene}-{copy}" / path.name for path in (pair.color_path, pair.depth_path)]
        links[0].parent.mkdir(parents=True, exist_ok=True)
        for link, path in zip(links, (pair.color_path, pair.depth_path), strict=True):
            link.symlink_to(path.resolve())
        rows.append(format_row(*(str(link.relative_to(folder)) for link in links)))
    (folder / "train.txt").write_text("\n".join(rows) + "\n")
    return folder


def _spread(values: Sequence[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "most": max(values)}


if __name__ == "__main__":
    typer.run(main)
