"""The commands that need no torch, for `python -m lightdepth_runtime` and for `lightdepth` alike."""

import enum
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from . import __version__
from .atomic import make_folder, write_json
from .bench_cli import bench_command
from .colorize import COLORMAPS
from .errors import LightDepthError
from .estimator import DepthEstimator
from .evaluate import EvalResult, evaluate
from .infer import infer_files, parse_save, plan_jobs
from .pairs import load_pairs
from .progress import track
from .protocol import Alignment, get_protocol

__all__ = ["app", "eval_command", "infer_command", "main", "make_app", "run_app"]

Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; the backend's choice by default.")]
ColormapName = enum.StrEnum("ColormapName", {name: name for name in COLORMAPS})
AlignName = enum.StrEnum("AlignName", {"NONE": "none", "MEDIAN": "median", "SCALE_SHIFT": "scale-shift"})


def make_app(text: str) -> typer.Typer:
    """Return a Typer app with `--version` and `--debug`, which shows the traceback of an error."""
    app = typer.Typer(help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    def version(value: bool) -> None:
        if value:
            print(__version__)
            raise typer.Exit

    @app.callback()
    def options(
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
        version: Annotated[bool, typer.Option("--version", callback=version, is_eager=True)] = False,
    ) -> None:
        """Read by `run_app` and by the callback."""

    options.__doc__ = text
    return app


def run_app(app: typer.Typer) -> None:
    """Run an app: an error is one line on standard error and exit code 1, a wrong argument 2, an interruption 130."""
    try:
        app()
    except LightDepthError as error:
        if "--debug" in sys.argv:
            raise
        print(f"Error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        sys.exit(130)


def infer_command(
    inputs: Annotated[list[Path], typer.Argument(help="Images and folders.")],
    model: Annotated[Path | None, typer.Option(help="A model file.")] = None,
    output: Annotated[Path, typer.Option(help="Folder for the results.")] = Path("output"),
    colormap: Annotated[ColormapName, typer.Option(help="Of the colour picture.")] = ColormapName["plasma"],
    save: Annotated[str, typer.Option(help="What to write, separated by commas.")] = "png,png16,npy",
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Estimate depth of images: colour picture, 16-bit millimetres, float metres."""
    kinds, jobs = parse_save(save), plan_jobs(inputs)
    make_folder(output)
    with DepthEstimator.load(model, device, threads) as estimator:
        written = infer_files(
            estimator,
            jobs,
            output,
            save=kinds,
            colormap=colormap.value,  # type: ignore[arg-type]  # an enum made from the literal's names
            say=_warn,
            progress=lambda items: track(items, "Inferring", len(items)),
        )
    print(f"{len(jobs)} images, {len(written)} files in {output}")


def eval_command(
    model: Annotated[Path | None, typer.Argument(help="A model file.")] = None,
    data: Annotated[Path, typer.Option(help="Folder or pair list with ground truth.")] = ...,  # type: ignore[assignment]  # Typer: required
    split: Annotated[str, typer.Option(help="Which split of a folder.")] = "test",
    protocol: Annotated[str, typer.Option(help="Named protocol.")] = "eigen",
    align: Annotated[AlignName, typer.Option(help="Per-image alignment to the truth.")] = AlignName.NONE,
    tta: Annotated[bool, typer.Option("--tta", help="Average with the flipped image's depth.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write schema lightdepth.eval/1 here.")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a model on RGB-D pairs under a named protocol."""
    chosen = get_protocol(protocol, _alignment(align), flip_tta=tta)
    pairs = load_pairs(data, split)
    if json_path:
        make_folder(json_path.parent)
    with DepthEstimator.load(model, device, threads) as estimator:
        name = (
            f"{estimator.spec.name} ({estimator.spec.precision}, {estimator.backend.name} {estimator.backend.device})"
        )
        progress = _tracker("Evaluating", len(pairs))
        result = evaluate(estimator, pairs, chosen, model=name, progress=progress)
    if json_path:
        write_json(json_path, result.to_dict())
    _show(result)


def _show(result: EvalResult) -> None:
    console = Console()
    console.print(f"Protocol {result.protocol.describe()}", highlight=False, soft_wrap=True)
    console.print(f"Data {result.data} ({result.packaging}), {result.split}: {result.samples} pairs", highlight=False)
    table = Table(title=result.model)
    metrics = result.metrics.to_dict()
    for name in metrics:
        table.add_column(name, justify="right")
    table.add_row(*(f"{value:.4f}" for value in metrics.values()))
    console.print(table)


def _tracker(label: str, total: int) -> Callable[[Any], Any]:  # Any: passes items of any type through
    return lambda items: track(items, label, total)


def _alignment(name: AlignName) -> Alignment:
    return name.value  # type: ignore[return-value]  # an enum made from the literal's names


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


app = make_app("Metric depth without torch: infer, evaluate, time.")
app.command("infer")(infer_command)
app.command("eval")(eval_command)
app.command("bench")(bench_command)


def main() -> None:
    """Run `python -m lightdepth_runtime`."""
    run_app(app)
