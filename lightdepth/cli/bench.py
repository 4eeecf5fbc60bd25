"""The `bench` command with PyTorch at hand."""

import sys
from pathlib import Path

from lightdepth_runtime.cli.bench import show_bench
from lightdepth_runtime.cli.options import Image, Json, Memory, Rounds, Threads, Wide

from .options import Against, AgainstWeights, BenchModels, Report, TorchDevices

__all__ = ["bench_command", "typed_command"]


def bench_command(
    models: BenchModels = None,
    against: Against = None,
    against_weights: AgainstWeights = None,
    device: TorchDevices = ["auto"],  # noqa: B006  # Typer's default of a list; never changed
    threads: Threads = None,
    image: Image = None,
    rounds: Rounds = 15,
    memory: Memory = True,
    wide: Wide = False,
    json: Json = None,
    report: Report = None,
) -> None:
    """Time models against each other: latency, memory, size, ratios."""
    from lightdepth_runtime.bench.run import BenchOptions, read_frame

    from ..bench import Against as Baseline
    from ..bench import bench_models
    from ..report.bench import write_bench_report

    frame, frame_name = read_frame(image)
    baseline = Baseline(against, against_weights) if against or against_weights else None
    options = BenchOptions(tuple(device), threads, rounds, memory)
    result = bench_models(models or [], frame, baseline, frame_name=frame_name, options=options, say=print)
    show_bench(result, json, wide=wide)
    if report:
        print(f"Wrote {write_bench_report(report, result, typed_command())}")


def typed_command() -> list[str]:
    """Return the words of the running command, as a shell would take them again."""
    return [Path(sys.argv[0]).name, *sys.argv[1:]]
