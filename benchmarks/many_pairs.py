"""What a pair costs in large sets: listing, check and pack of 10,000 and 100,000 pairs, and training a million.

Usage: python benchmarks/many_pairs.py --data DIR [--pairs 10000 --pairs 100000] [--rounds 2] [--json FILE]
       python benchmarks/many_pairs.py --data DIR --training 10000 --training 1000000 [--json FILE]

The sets are hard links of the pairs of DIR, in folders of a thousand, with a list of the split train. Packing needs
disk for the largest set: 154 GB for 100,000 pairs of 640x480, a quarter of that for 320x240. A pair's cost is the
processor seconds of a whole command and its workers, less what the same command takes for one pair, over the pairs.

Training is measured from the start of `lightdepth train` until the first batch is there: seconds of the clock, and the
most memory that its processes took together at any time, each shared page counted once (Linux's PSS). FILE keeps what
it has of the other measurement.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle
from json import loads
from pathlib import Path
from typing import Annotated, Any

import typer
from scale import ADOPT_ORPHANS, COMMANDS, Cost, run

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import CpuWatch, describe_machine
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.lists.rows import format_row

SCHEMA = "lightdepth.many_pairs/1"
PAIRS_A_FOLDER = 1000
MEASURED = ("data list", "data check", "data pack")
SAMPLED_EVERY_S = 0.25
# Run by a Python of its own in place of `lightdepth`: the same command, ended by the first batch.
UNTIL_FIRST_BATCH = """
import sys
from lightdepth.training.stepper import Stepper
def end(stepper, batch):
    print("first batch", len(batch.names), flush=True)
    sys.exit(0)
Stepper.__call__ = end
if __name__ == "__main__":
    from lightdepth.cli.app import main
    main()
"""


def main(
    data: Annotated[Path, typer.Option(help="Folder of pairs in files, with a split train.")],
    pairs: Annotated[list[int] | None, typer.Option(min=1, help="Sizes of the sets. Default: 10,000, 100,000.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each command on each set, in turns.")] = 2,
    training: Annotated[list[int] | None, typer.Option(help="Measure the start of training on so many.")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure, print, write."""
    ctypes.CDLL(None).prctl(ADOPT_ORPHANS, 1, 0, 0, 0)
    watch = CpuWatch()
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # not in a /tmp that is memory
        if training:
            sets = {size: link_pairs(data, Path(folder) / str(size), size) for size in sorted(training)}
            name, measured = "training", {"sets": [measure_training(sets[size], size) for size in sets]}
        else:
            name, measured = "cost", measure_cost(data, Path(folder), sorted(pairs or [10_000, 100_000]), rounds)
    measured |= {"others_share_of_cpu": watch.others_share(), "machine": describe_machine().to_dict()}
    if json:
        write_json(json, {"schema": SCHEMA, **(loads(json.read_text()) if json.is_file() else {}), name: measured})


def measure_cost(data: Path, folder: Path, sizes: list[int], rounds: int) -> dict[str, Any]:  # Any: a JSON object
    """Run each command on each set, in turns; return milliseconds of the processor a pair, and what they rise by."""
    one, *sets = (link_pairs(data, folder / str(size), size) for size in (1, *sizes))
    commands: dict[str, Any] = {}
    for name in MEASURED:
        start = run_command(name, one)
        runs = [[run_command(name, chosen) for chosen in sets] for _ in range(rounds)]
        cpu_ms = {
            str(size): statistics.median(1e3 * (costs[place].cpu_s - start.cpu_s) / size for costs in runs)
            for place, size in enumerate(sizes)
        }
        rise = cpu_ms[str(sizes[-1])] / cpu_ms[str(sizes[0])] - 1
        wall_s = {str(size): [costs[place].wall_s for costs in runs] for place, size in enumerate(sizes)}
        commands[name] = {"cpu_ms_per_pair": cpu_ms, "rise": rise, "wall_s": wall_s, "startup_cpu_s": start.cpu_s}
        each = ", ".join(f"{value:.4f} ms a pair of {size}" for size, value in cpu_ms.items())
        print(f"{name}: {each}: {rise:+.1%}")
    return {"sizes": sizes, "rounds": rounds, "commands": commands}


def run_command(name: str, data: Path) -> Cost:
    """Run a command on as many workers as there are cores."""
    workers = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory(dir=data.parent) as out:
        if name == "data list":
            return run(["data", "list", str(data), "-o", str(Path(out) / "list.txt")], workers)
        return run([*COMMANDS[name](data, Path(out)), "--workers", str(workers)], workers)


def measure_training(data: Path, pairs: int) -> dict[str, Any]:  # Any: a JSON object
    """Start training on a set; return seconds to the first batch and memory at its peak."""
    command = ["train", "--data", str(data), "-o", f"{data}-run", "--set", "encoder_weights=none"]
    begun = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", UNTIL_FIRST_BATCH, *command], stdout=subprocess.PIPE, text=True)
    peak = main_peak = 0
    while process.poll() is None:
        sizes = {child: memory_bytes(child) for child in tree(process.pid)}
        peak, main_peak = max(peak, sum(sizes.values())), max(main_peak, sizes.get(process.pid, 0))
        time.sleep(SAMPLED_EVERY_S)
    seconds = time.monotonic() - begun
    assert process.stdout
    said = process.stdout.read()
    if "first batch" not in said:
        raise SystemExit(f"Training ended before its first batch: {said}")
    most = f"{peak / 1e9:.2f} GB in all, {main_peak / 1e9:.2f} GB in the main process"
    print(f"{pairs} pairs: first batch after {seconds:.1f} s, {most}")
    return {"pairs": pairs, "first_batch_s": seconds, "peak_bytes": peak, "main_process_peak_bytes": main_peak}


def tree(pid: int) -> list[int]:
    """Return a process and all that it started, as far as they still run."""
    found = [pid]
    for parent in found:
        try:
            found += map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split())
        except OSError:
            continue
    return found


def memory_bytes(pid: int) -> int:
    """Return a process's memory, of shared pages its part."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it has ended
        return 0
    return next((1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:")), 0)


def link_pairs(data: Path, folder: Path, size: int) -> Path:
    """Make a folder of so many pairs: copies of those in the data, linked as often as it takes, and a list of them."""
    pairs = load_pairs(data, "train").pairs
    originals = [_copy(pair, folder / "originals" / str(place)) for place, pair in enumerate(pairs)]
    rows = []
    for number, paths in zip(range(size), cycle(originals)):
        scene = f"scene{number // PAIRS_A_FOLDER:05d}"
        (folder / scene).mkdir(exist_ok=True)
        names = [f"{scene}/{number:07d}_{path.name}" for path in paths]
        for path, name in zip(paths, names, strict=True):
            os.link(path, folder / name)
        rows.append(format_row(*names))
    shutil.rmtree(folder / "originals")
    (folder / "train.txt").write_text("\n".join(rows) + "\n")
    return folder


def _copy(pair: Any, folder: Path) -> list[Path]:  # Any: of any packaging, which the assertion narrows
    assert isinstance(pair, FilePair), "the commands are measured on files"
    folder.mkdir(parents=True)
    sources = {"color": pair.color_path, "depth": pair.depth_path}
    return [Path(shutil.copy(path, folder / f"{kind}{path.suffix}")) for kind, path in sources.items()]


if __name__ == "__main__":
    typer.run(main)
