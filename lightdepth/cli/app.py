"""The `lightdepth` command. Commands that need no torch are the runtime's own functions."""

from pathlib import Path
from typing import Annotated

import typer

from lightdepth_runtime.cli.app import add_command, make_app, run_app
from lightdepth_runtime.cli.calibrate import calibrate_command
from lightdepth_runtime.cli.evaluate import eval_command
from lightdepth_runtime.cli.infer import infer_command

from .bench import bench_command
from .compare import compare_command
from .data import data_app, pseudo_label_command
from .export import export_command
from .train import TrainCommand, config_command, runs_command, train_command

__all__ = ["app", "main"]


def demo_command(
    output: Annotated[Path, typer.Option(help="Folder for the run, the models, the pictures and report.md.")] = Path(
        "output/demo"
    ),
) -> None:
    """Run the whole line on real pairs that ship with the project, without a download or a GPU."""
    from ..demo.demo import run_demo

    print(f"Report: {run_demo(output, say=print)}")


app = make_app("Metric depth from one image: prepare data, train, evaluate, export and run a small network.")
app.add_typer(data_app, name="data", rich_help_panel="Prepare and train")
add_command(app, "train", train_command, "Prepare and train", TrainCommand)
add_command(app, "config", config_command, "Prepare and train")
add_command(app, "pseudo-label", pseudo_label_command, "Prepare and train")
add_command(app, "runs", runs_command, "Prepare and train")
add_command(app, "eval", eval_command, "Judge and export")
add_command(app, "export", export_command, "Judge and export")
add_command(app, "bench", bench_command, "Judge and export")
add_command(app, "compare", compare_command, "Judge and export")
add_command(app, "infer", infer_command, "Use")
add_command(app, "calibrate", calibrate_command, "Use")
add_command(app, "demo", demo_command, "Use")


def main() -> None:
    """Run the command line; an error is one line and a non-zero exit code."""
    run_app(app)
