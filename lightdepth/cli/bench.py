"""The `bench` command with PyTorch at hand."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lightdepth_runtime.cli.bench import (
    BenchOptions,
    ImageOption,
    JsonOption,
    MemoryOption,
    RoundsOption,
    ThreadsOption,
    read_frame,
    show_bench,
)

from ..bench import Rival, bench_models
from ..report.bench import write_bench_report

__all__ = ["bench_command", "typed_command"]

DeviceOption = Annotated[
    list[str],
    typer.Option("--device", help="auto, cpu, cuda, tensorrt, openvino or torch; repeat it for a row of each."),
]
ReportOption = Annotated[
    Path | None, typer.Option("--report", help="Folder for bench.html, a page that needs no other file.")
]


def bench_command(
    models: Annotated[
        list[Path] | None, typer.Argument(help="Model files. Without any: the shipped model and an untrained resnet18.")
    ] = None,
    against: Annotated[
        str | None, typer.Option(help="Add a baseline: depth-anything-v2-small, -base, -large ...")
    ] = None,
    against_weights: Annotated[
        str | None, typer.Option(help="The baseline's weights: hub (default), random, or a folder.")
    ] = None,
    image: ImageOption = None,
    device: DeviceOption = ["auto"],  # noqa: B006  # Typer's default of a list; never changed
    threads: ThreadsOption = None,
    rounds: RoundsOption = 15,
    memory: MemoryOption = True,
    json_path: JsonOption = None,
    report: ReportOption = None,
) -> None:
    """Time models against each other in one interleaved run, beside Depth Anything V2 where asked."""
    frame, frame_name = read_frame(image)
    rival = Rival(against, against_weights) if against or against_weights else None
    options = BenchOptions(tuple(device), threads, rounds, memory)
    result = bench_models(models or [], frame, rival, frame_name=frame_name, options=options, say=print)
    show_bench(result, json_path)
    if report:
        print(f"Wrote {write_bench_report(report, result, typed_command())}")


def typed_command() -> list[str]:
    """Return the words of the running command, as a shell would take them again."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
