"""What a data set of any size costs, calculated from measured rates and bytes.

Usage: python benchmarks/scale_table.py [--frames 50000 --frames 1000000] [--markdown FILE]

Nothing is measured here: every number is a product of the JSON files under benchmarks/results that the rows name, and
of frames, epochs and GPUs.
"""

from __future__ import annotations

import json
import math
import statistics
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

RESULTS = Path(__file__).parent / "results"
EPOCHS = 25  # the default of `epochs`
GPUS = (1, 8, 64)
GPUS_A_NODE = 8
CORES = 16
MEGA, GIGA, TERA = 1e6, 1e9, 1e12


@dataclass(frozen=True)
class Rates:
    """What was measured, for frames of 640x480."""

    plain_bytes: float  # a frame as JPEG and 16-bit PNG
    packed_bytes: float
    check_s: float  # of a core, a frame
    pack_s: float
    label_s: float
    samples_per_s: float  # packed samples that a core reads and augments
    images_per_s: float  # that a GPU trains
    process_bytes: float  # memory of a training process or worker
    listed_bytes: float  # memory of a listed pair, at the peak of training's start


def main(
    frames: Annotated[list[int] | None, typer.Option(help="Default: 50 thousand, one and ten million.")] = None,
    markdown: Annotated[Path | None, typer.Option(help="Write the tables there too.")] = None,
) -> None:
    """Calculate, print, write."""
    text = "\n".join(tables(read_rates(), frames or [50_000, 1_000_000, 10_000_000]))
    print(text)
    if markdown:
        markdown.write_text(text + "\n")


def read_rates(results: Path = RESULTS) -> Rates:
    """Read the measured rates."""
    loader, training = _read(results / "loader.json"), _read(results / "train_resnet18.json")
    packed = next(row for row in loader["kinds"] if row["kind"] == "packed")
    commands = _read(results / "scale.json")["commands"]
    cpu_ms = {name: row["cpu_ms_per_pair"]["1"]["median"] for name, row in commands.items()}
    few, *_, many = _read(results / "many_pairs.json")["training"]["sets"]
    return Rates(
        plain_bytes=loader["plain_bytes_per_frame"],
        packed_bytes=loader["packed_bytes_per_frame"],
        check_s=cpu_ms["data check"] / 1000,
        pack_s=cpu_ms["data pack"] / 1000,
        label_s=cpu_ms["pseudo-label"] / 1000,
        samples_per_s=packed["samples_per_s_per_core"],
        images_per_s=statistics.median(row["images_per_s"] for row in training["epochs"]),
        process_bytes=loader["process_memory_gb"] * GIGA,
        listed_bytes=(many["peak_bytes"] - few["peak_bytes"]) / (many["pairs"] - few["pairs"]),
    )


def tables(rates: Rates, frames: list[int]) -> list[str]:
    """Return the lines of both tables, in Markdown."""
    return [*_preparation(rates, frames), "", *_training(rates, frames)]


def _preparation(rates: Rates, frames: list[int]) -> list[str]:
    lines = [
        f"| frames | step | core-hours | on {CORES} cores | memory | GB read | GB written | what bounds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for count in frames:
        memory = rates.listed_bytes * count + rates.process_bytes * (CORES + 1)
        for step, seconds, written in (
            ("check", rates.check_s, 0.0),
            ("pack", rates.pack_s, rates.packed_bytes),
            ("pseudo-label", rates.label_s, 0.0),
        ):
            moved = CORES / seconds * (rates.plain_bytes + written) / MEGA
            bound = f"a disk below {moved:,.0f} MB/s, else cores" if step == "pack" else "cores"
            lines.append(
                f"| {count:,} | {step} | {_number(seconds * count / 3600)} | {_duration(seconds * count / CORES)} | "
                f"{memory / GIGA:,.0f} GB | {_number(rates.plain_bytes * count / GIGA)} | "
                f"{_number(written * count / GIGA)} | {bound} |"
            )
    return lines


def _training(rates: Rates, frames: list[int]) -> list[str]:
    lines = [
        "| frames | GPUs | time | GPU-hours | loader cores | GB stored | TB moved, cached | TB moved, not cached | "
        "MB/s a machine |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for count in frames:
        stored = rates.packed_bytes * count
        for gpus in GPUS:
            rate, nodes = gpus * rates.images_per_s, math.ceil(gpus / GPUS_A_NODE)
            seconds = EPOCHS * count / rate
            lines.append(
                f"| {count:,} | {gpus} | {_duration(seconds)} | {_number(seconds * gpus / 3600)} | "
                f"{math.ceil(rate / rates.samples_per_s)} | {_number(stored / GIGA)} | "
                f"{_number(nodes * stored / TERA)} | {_number(EPOCHS * nodes * stored / TERA)} | "
                f"{_number(rate * rates.packed_bytes / MEGA)} |"
            )
    return lines


def _duration(seconds: float) -> str:
    """Show seconds, minutes or hours."""
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min")):
        if seconds < limit:
            return f"{_number(seconds / unit)} {name}"
    return f"{_number(seconds / 3600)} h"


def _number(value: float) -> str:
    """Show two digits of small numbers, and none behind the point of large ones."""
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.2g}"


def _read(path: Path) -> dict[str, Any]:  # Any: a JSON object
    return json.loads(path.read_text())


if __name__ == "__main__":
    typer.run(main)
