"""The `lightdepth` command. Commands that need no torch are the runtime's own functions."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from lightdepth_runtime.cli.app import eval_command, infer_command, make_app, run_app
from lightdepth_runtime.cli.calibrate import calibrate_command

from .bench import bench_command
from .compare import compare_command
from .data import data_app
from .export import export_command

__all__ = ["app", "main"]

app = make_app("Train, export, evaluate and run a small metric depth network.")
app.command("infer")(infer_command)
app.command("eval")(eval_command)
app.command("bench")(bench_command)
app.command("calibrate")(calibrate_command)
app.command("compare")(compare_command)
app.command("export")(export_command)
app.add_typer(data_app, name="data")

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
    from ..config import load_config
    from ..runs.folder import RunFolder, newest_state
    from ..training.inputs import silent
    from ..training.train import train

    path = output
    if resume:
        path = output or newest_state().path
        config = config or RunFolder(path).require_config()
    elif config is None and DEFAULT_CONFIG.is_file():
        config = DEFAULT_CONFIG
    settings = load_config(config, overrides or [], {"data_root": data, "val_data": val_data})
    path = path or Path("runs") / f"{settings.model}-{time.strftime('%Y%m%d-%H%M%S')}"
    say = print if os.environ.get("RANK", "0") == "0" else silent  # one of several processes speaks
    say(f"Config: {config or 'built-in defaults'}; run folder: {path}")
    finished = train(settings, path, resume=resume, say=say)
    say(f"Best checkpoint: {finished.best}")


@app.command("pseudo-label")
def pseudo_label_command(
    model: Annotated[str, typer.Argument(help="A metric model: any LightDepth file, or Depth Anything V2's folder.")],
    images: Annotated[list[Path], typer.Argument(help="Images, and folders of images.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the depth and the pair list train.txt.")],
    most_disagreement: Annotated[
        float, typer.Option(min=0, help="Depth of a pixel and of its mirror image may differ by this share.")
    ] = 0.1,
    focal_px: Annotated[float | None, typer.Option(help="The images' focal length in pixels.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, tensorrt or openvino.")] = "auto",
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads.")] = None,
) -> None:
    """Label images without depth with a model's depth, and write a pair list to train on."""
    from lightdepth_runtime.progress import track

    from ..prepare.pseudo_label import write_pseudo_labels
    from ..teacher.teacher import Teacher

    with Teacher(model, device, threads) as teacher:
        labels = write_pseudo_labels(
            teacher,
            images,
            output,
            most_disagreement=most_disagreement,
            focal_px=focal_px,
            progress=lambda jobs: track(jobs, "Labelling", len(jobs)),
        )
    kept = f", {labels.kept_share:.0%} of their pixels" if labels.written else ""
    print(f"Labelled {labels.written} images{kept}; {labels.images} pairs in {labels.list_path}")


@app.command("runs")
def runs_command(
    folders: Annotated[list[Path] | None, typer.Argument(help="Runs, or folders of runs; ./runs by default.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all settings and scores as JSON.")] = None,
) -> None:
    """List training runs, best first, and the settings in which they differ."""
    from ..runs.table import compare_runs

    print("\n".join(compare_runs(folders or [Path("runs")], json)))


@app.command("demo")
def demo_command(
    output: Annotated[Path, typer.Option(help="Folder for the run, the models, the pictures and report.md.")] = Path(
        "output/demo"
    ),
) -> None:
    """Run the whole line on real pairs that ship with the project, without a download or a GPU."""
    from ..demo.demo import run_demo

    print(f"Report: {run_demo(output, say=print)}")


def main() -> None:
    """Run the command line; an error is one line and a non-zero exit code."""
    run_app(app)
