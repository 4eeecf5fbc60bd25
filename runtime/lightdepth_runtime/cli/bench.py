"""The `bench` command: any models, one table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from .options import BenchDevices, Image, Json, Memory, Models, Rounds, Threads, Wide

if TYPE_CHECKING:
    from ..bench.result import BenchResult

__all__ = ["bench_command", "show_bench"]


def bench_command(
    models: Models = None,
    device: BenchDevices = ["auto"],  # noqa: B006  # Typer's default of a list; never changed
    threads: Threads = None,
    image: Image = None,
    rounds: Rounds = 15,
    memory: Memory = True,
    wide: Wide = False,
    json: Json = None,
) -> None:
    """Time models against each other: latency, memory, size, ratios."""
    from ..bench.run import BenchOptions, plan_rows, read_frame, run_bench
    from ..models.find import find_model

    frame, frame_name = read_frame(image)
    options = BenchOptions(tuple(device), threads, rounds, memory)
    rows = plan_rows([find_model(model) for model in models or [None]], options.devices)
    show_bench(run_bench(rows, frame, frame_name=frame_name, options=options), json, wide=wide)


def show_bench(result: BenchResult, json: Path | None = None, *, wide: bool = False) -> None:
    """Print the table, the machine, the ratios and the warnings; write the JSON where asked."""
    from rich.console import Console

    from ..atomic import write_json
    from ..bench.machine import describe_machine
    from ..bench.table import bench_table, ratio_lines
    from ..table import print_table

    print_table(bench_table(result), wide=wide)
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"{describe_machine().describe()}; {result.settings['threads']} threads")
    for line in ratio_lines(result):
        console.print(line)
    for warning in result.warnings:
        console.print(f"Note: {warning}")
    if json:
        write_json(json, result.to_dict())
        console.print(f"Wrote {json}")
