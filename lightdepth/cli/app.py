"""The `lightdepth` command. Commands that need no torch are the runtime's own functions."""

from lightdepth_runtime.cli.app import OneProcessCommand, add_command, make_app, run_app
from lightdepth_runtime.cli.calibrate import calibrate_command
from lightdepth_runtime.cli.evaluate import make_eval_command
from lightdepth_runtime.cli.infer import infer_command
from lightdepth_runtime.cli.options import Output

from ..processes import join_processes
from .bench import bench_command
from .compare import compare_command
from .data import data_app, pseudo_label_command
from .export import export_command
from .train import TrainCommand, config_command, runs_command, train_command

__all__ = ["app", "main"]


def demo_command(output: Output = None) -> None:
    """Run every step on real pairs that ship with the project, without a download or a GPU."""
    from lightdepth_runtime.atomic import result_folder
    from lightdepth_runtime.cli.bench import show_bench
    from lightdepth_runtime.table import print_table

    from ..demo.demo import run_demo
    from ..report.demo import demo_scores

    with result_folder(output, "demo") as folder:
        result = run_demo(folder, say=print)
    print_table(demo_scores(result))
    show_bench(result.bench)
    print(
        f"\nReport: {folder / 'report.md'}\n\nGo on with:\n"
        "  depth of your own photo, by the shipped model:\n"
        "    lightdepth infer PHOTO.jpg\n"
        "  the shipped model, fine-tuned to your RGB-D recordings (docs/own-data.md):\n"
        "    lightdepth train --data DIR --start-from lite0 --set preset=finetune\n"
        "  more forms of the network just trained:\n"
        f"    lightdepth export {result.folder.path} --int8"
    )


app = make_app("Metric depth from one image: prepare data, train, evaluate, export and run a small network.")
app.add_typer(data_app, name="data", rich_help_panel="Prepare and train")
add_command(app, "train", train_command, "Prepare and train", TrainCommand)
add_command(app, "config", config_command, "Prepare and train")
add_command(app, "pseudo-label", pseudo_label_command, "Prepare and train")
add_command(app, "runs", runs_command, "Prepare and train")
add_command(app, "eval", make_eval_command(join_processes), "Judge and export")
add_command(app, "export", export_command, "Judge and export", OneProcessCommand)
add_command(app, "bench", bench_command, "Judge and export", OneProcessCommand)
add_command(app, "compare", compare_command, "Judge and export", OneProcessCommand)
add_command(app, "infer", infer_command, "Use", OneProcessCommand)
add_command(app, "calibrate", calibrate_command, "Use", OneProcessCommand)
add_command(app, "demo", demo_command, "Use", OneProcessCommand)


def main() -> None:
    """Run the command line; an error is one line and a non-zero exit code."""
    run_app(app)
