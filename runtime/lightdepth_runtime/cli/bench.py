"""The `bench` command of the runtime: any model files, one table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Console

from ..atomic import write_json
from ..bench.bench import BenchResult, bench, open_contestant
from ..bench.machine import describe_machine, usable_cores
from ..bench.matmul_peak import measure_matmul_gflops
from ..bench.table import bench_tables, ratio_lines
from ..bench.timing import Schedule
from ..images.decode import read_image
from ..progress import track

__all__ = [
    "BenchOptions",
    "DeviceOption",
    "ImageOption",
    "JsonOption",
    "MemoryOption",
    "RoundsOption",
    "ThreadsOption",
    "bench_command",
    "plan_rows",
    "read_frame",
    "run_bench",
    "show_bench",
]

# A camera's usual size; the frame of a bench that is given none.
FRAME_HEIGHT, FRAME_WIDTH = 480, 640

ImageOption = Annotated[Path | None, typer.Option(help="A frame to run on; without it, a generated 640x480 one.")]
DeviceOption = Annotated[
    list[str], typer.Option("--device", help="auto, cpu, cuda, tensorrt or openvino; repeat it for a row of each.")
]
ThreadsOption = Annotated[int | None, typer.Option(min=1, help="CPU threads of every model; the cores by default.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Rounds in which every model gets its turn.")]
MemoryOption = Annotated[
    bool, typer.Option(help="Measure peak memory, cold start and the matrix product in processes of their own.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="Write schema lightdepth.bench/1 here.")]


@dataclass(frozen=True)
class BenchOptions:
    """What holds for every model of a bench; without `threads` the usable cores."""

    devices: tuple[str, ...] = ("auto",)
    threads: int | None = None
    rounds: int = 15
    memory: bool = True


def bench_command(
    models: Annotated[list[Path], typer.Argument(help="Model files to time; the first is what ratios compare with.")],
    image: ImageOption = None,
    device: DeviceOption = ["auto"],  # noqa: B006  # Typer's default of a list; never changed
    threads: ThreadsOption = None,
    rounds: RoundsOption = 15,
    memory: MemoryOption = True,
    json_path: JsonOption = None,
) -> None:
    """Time models against each other in one interleaved run: latency, throughput, size, memory, ratios."""
    frame, frame_name = read_frame(image)
    options = BenchOptions(tuple(device), threads, rounds, memory)
    result = run_bench(plan_rows(models, options.devices), frame, frame_name=frame_name, options=options)
    show_bench(result, json_path)


def plan_rows(models: Sequence[Path], devices: Sequence[str]) -> list[tuple[Path, str]]:
    """Return each row's file and device: every model on every device; an engine once, on the GPU it was built for."""
    return [(model, device) for model in models for device in (["auto"] if model.suffix == ".engine" else devices)]


def run_bench(
    rows: Sequence[tuple[Path, str]], frame: NDArray[np.uint8], *, frame_name: str, options: BenchOptions
) -> BenchResult:
    """Open each row's file on its device, with the same threads, time them, show progress, close them."""
    threads = options.threads or usable_cores()
    contestants = []
    try:
        for path, device in track(rows, "Loading", len(rows)):
            contestants.append(open_contestant(path, device, threads, memory=options.memory))
            backend = contestants[-1].backend
            if reason := getattr(backend, "device_reason", None):
                print(f"{path.name}: device {backend.device}, {reason}")

        def progress(numbers: range) -> Iterable[int]:
            return track(numbers, "Timing rounds", len(numbers))

        schedule = Schedule(rounds=options.rounds)
        peak = measure_matmul_gflops(threads) if options.memory else None
        record: dict[str, Any] = {"threads": threads, "frame_name": frame_name, "matmul_gflops": peak}  # Any: keywords
        return bench(contestants, frame, schedule, **record, progress=progress)
    finally:
        for contestant in contestants:
            contestant.backend.close()


def show_bench(result: BenchResult, json_path: Path | None) -> None:
    """Print the table, the machine, the ratios and the warnings; write the JSON where asked."""
    console = Console()
    for table in bench_tables(result):
        console.print(table)
    console.print(
        f"{describe_machine().describe()}; {result.settings['threads']} threads", highlight=False, soft_wrap=True
    )
    for line in ratio_lines(result):
        console.print(line, highlight=False, soft_wrap=True)
    for warning in result.warnings:
        console.print(f"Note: {warning}", highlight=False, soft_wrap=True)
    if json_path:
        write_json(json_path, result.to_dict())
        console.print(f"Wrote {json_path}", highlight=False, soft_wrap=True)


def read_frame(image: Path | None) -> tuple[NDArray[np.uint8], str]:
    """Read a frame and name it without its folders; without one, generate a 640x480 frame of smooth colours and noise.

    Raises:
        LightDepthError: the file is not an image.
    """
    if image is not None:
        frame = read_image(image)
        return frame, f"{image.name}, {frame.shape[1]}x{frame.shape[0]}"
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[0 : 1 : FRAME_HEIGHT * 1j, 0 : 1 : FRAME_WIDTH * 1j]
    smooth = np.stack([rows, columns, 1 - rows], axis=2) * 200  # (H, W, 3)
    frame = np.clip(smooth + rng.normal(20, 12, smooth.shape), 0, 255).astype(np.uint8)
    return frame, f"generated, {FRAME_WIDTH}x{FRAME_HEIGHT}"
