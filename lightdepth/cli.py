"""The `lightdepth` command. Commands that need no torch are the runtime's own functions."""

import time
from pathlib import Path
from typing import Annotated

import typer

from lightdepth_runtime.cli import eval_command, infer_command, make_app, run_app

from .bench import bench_command
from .compare_cli import compare_command

__all__ = ["app", "main"]

app = make_app("Train, export, evaluate and run a small metric depth network.")
app.command("infer")(infer_command)
app.command("eval")(eval_command)
app.command("bench")(bench_command)
app.command("compare")(compare_command)

DEFAULT_CONFIG = Path("config.yaml")


@app.command("train")
def train_command(
    config: Annotated[Path | None, typer.Option(help="YAML file; ./config.yaml is read where it exists.")] = None,
    data: Annotated[str | None, typer.Option(help="Folder or pair list (config key data_root).")] = None,
    val_data: Annotated[str | None, typer.Option(help="Folder or pair list to validate on each epoch.")] = None,
    output: Annotated[Path | None, typer.Option(help="The run's folder; runs/NAME-DATE by default.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --output, or the newest one.")] = False,
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value over the config; repeatable.")] = None,
) -> None:
    """Train a depth network on RGB-D pairs."""
    from .config import load_config
    from .run_folder import RunFolder, newest_state
    from .train import train

    path = output
    if resume:
        path = output or newest_state().path
        config = config or RunFolder(path).require_config()
    elif config is None and DEFAULT_CONFIG.is_file():
        config = DEFAULT_CONFIG
    settings = load_config(config, overrides or [], {"data_root": data, "val_data": val_data})
    path = path or Path("runs") / f"{settings.model}-{time.strftime('%Y%m%d-%H%M%S')}"
    print(f"Config: {config or 'built-in defaults'}; run folder: {path}")
    finished = train(settings, path, resume=resume, say=print)
    print(f"Best checkpoint: {finished.best}")


@app.command("export")
def export_command(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A run's .safetensors; the newest run's best if omitted.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The FP32 file; CHECKPOINT's name by default.")
    ] = None,
    fp16: Annotated[
        bool, typer.Option("--fp16", help="Write an FP16 ONNX too, with FP32 input, output and head.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Pairs to judge parity on; the demo's by default.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many of them, evenly spread.")] = 32,
    dynamic_batch: Annotated[bool, typer.Option("--dynamic-batch", help="Leave the batch size open.")] = False,
) -> None:
    """Write ONNX files that are proven to keep the checkpoint's accuracy."""
    from lightdepth_export.artifacts import ExportOptions

    from .export import export_checkpoint
    from .run_folder import newest_run

    if checkpoint is None:
        checkpoint = newest_run().best
        print(f"Exporting the newest run: {checkpoint}")
    options = ExportOptions(fp16=fp16, dynamic_batch=dynamic_batch)
    target = output or checkpoint.with_suffix(".onnx")
    result = export_checkpoint(checkpoint, target, data=data, most_pairs=pairs, options=options, say=print)
    for path in result.paths():
        print(f"Wrote {path}")
    print(result.engine_note)


@app.command("demo")
def demo_command(
    output: Annotated[Path, typer.Option(help="Folder for the run, the models, the pictures and report.md.")] = Path(
        "output/demo"
    ),
) -> None:
    """Run the whole line on real pairs that ship with the project, without a download or a GPU."""
    from .demo import run_demo

    print(f"Report: {run_demo(output, say=print)}")


def main() -> None:
    """Run the command line; an error is one line and a non-zero exit code."""
    run_app(app)
