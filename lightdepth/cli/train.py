"""The commands `train`, `config` and `runs`."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from lightdepth_runtime.cli.app import Command
from lightdepth_runtime.cli.options import DepthScale, Json, Wide

from ..config import TrainConfig, describe_config, load_config
from . import options

__all__ = ["TrainCommand", "config_command", "runs_command", "train_command"]

DEFAULT_CONFIG = Path("config.yaml")


class TrainCommand(Command):
    """A command that knows what to say about an option that is really a key of the config."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # Any: Typer's context, whose home moves by version
        """Read the words of the command."""
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)  # of Typer's NoSuchOption, whose home moves by version
            key = str(option).lstrip("-").replace("-", "_")
            if key in TrainConfig.model_fields:
                raise typer.BadParameter(f"No such option: {option}; set this key with --set {key}=VALUE.") from error
            raise


def train_command(
    data: options.TrainData = None,
    val_data: options.ValData = None,
    depth_scale: DepthScale = None,
    model: options.Network = None,
    image_size: options.ImageSize = None,
    start_from: options.StartFrom = None,
    epochs: options.Epochs = None,
    batch_size: options.BatchSize = None,
    learning_rate: options.LearningRate = None,
    config: options.TrainConfigFile = None,
    overrides: options.Overrides = None,
    show_config: options.ShowConfig = False,
    resume: options.Resume = False,
    output: options.RunOutput = None,
) -> None:
    """Train a depth network on RGB-D pairs.

    `lightdepth config` lists every setting; the commonest are options here, the others are given with --set.
    """
    flags: dict[str, Any] = {  # Any: values of the config's fields
        "data_root": data,
        "val_data": val_data,
        "depth_scale": depth_scale.name if depth_scale else None,
        "model": model,
        "start_from": start_from,
        "epochs": epochs,
        "batch_size": batch_size,
        "learning_rate": learning_rate,
    }
    if image_size:
        flags["image_height"], flags["image_width"] = options.parse_size(image_size)
    if resume:
        from ..runs.folder import RunFolder, newest_state

        output = output or newest_state().path
        config = config or RunFolder(output).require_config()
    elif config is None and DEFAULT_CONFIG.is_file():
        config = DEFAULT_CONFIG
    settings = load_config(config, overrides or [], flags)
    if show_config:
        print(describe_config(settings), end="")
        return
    path = output or Path("runs") / f"{settings.model}-{time.strftime('%Y%m%d-%H%M%S')}"
    _train(settings, path, str(config or "built-in defaults"), resume=resume)


def _train(settings: TrainConfig, path: Path, source: str, *, resume: bool) -> None:
    from ..runs.folder import RunFolder
    from ..training.inputs import silent
    from ..training.train import train

    is_speaker = os.environ.get("RANK", "0") == "0"  # one of several processes speaks
    say = print if is_speaker else silent
    say(f"Config: {source}; run folder: {path}")
    try:
        finished = train(settings, path, resume=resume, say=say)
    except KeyboardInterrupt:
        if is_speaker and RunFolder(path).config_path.exists():
            done = len(RunFolder(path).states()) and len(RunFolder(path).read_metrics())
            print(
                f"Interrupted after {done} of {settings.epochs} epochs; go on from there with: "
                f"lightdepth train --resume --output {path}",
                file=sys.stderr,
            )
        raise
    say(f"Best checkpoint: {finished.best}")


def config_command() -> None:
    """Print every training setting with its default and help, as YAML.

    Start your own file with: lightdepth config > config.yaml
    """
    print(describe_config(), end="")


def runs_command(
    folders: Annotated[
        list[Path] | None, typer.Argument(metavar="DIR", help="Runs, or folders of runs. Default: runs.")
    ] = None,
    wide: Wide = False,
    json: Json = None,
) -> None:
    """List training runs, best first, and the settings in which they differ."""
    from lightdepth_runtime.table import print_table

    from ..runs.table import compare_runs

    for table in compare_runs(folders or [Path("runs")], json):
        print_table(table, wide=wide)
