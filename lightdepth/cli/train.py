"""The `train` command."""

from __future__ import annotations

import os
import time
from pathlib import Path

from .options import Overrides, Resume, RunOutput, TrainConfigFile, TrainData, ValData

__all__ = ["train_command"]

DEFAULT_CONFIG = Path("config.yaml")


def train_command(
    data: TrainData = None,
    val_data: ValData = None,
    config: TrainConfigFile = None,
    overrides: Overrides = None,
    resume: Resume = False,
    output: RunOutput = None,
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
