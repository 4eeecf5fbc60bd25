"""A run's folder: `best` and `last` checkpoints, training state, metrics, config. Whatever is there is whole."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from accelerate import Accelerator

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.errors import LightDepthError

from .config import TrainConfig, load_config

__all__ = ["RunFolder", "newest_run"]

KEPT_STATES = 2


@dataclass(frozen=True)
class RunFolder:
    """Paths and bookkeeping of one training run."""

    path: Path

    @property
    def best(self) -> Path:
        """Checkpoint of the epoch with the lowest validation RMSE."""
        return self.path / "best.safetensors"

    @property
    def last(self) -> Path:
        """Checkpoint of the newest epoch."""
        return self.path / "last.safetensors"

    @property
    def config_path(self) -> Path:
        """The config the run was started with."""
        return self.path / "config.yaml"

    @property
    def metrics_path(self) -> Path:
        """One JSON object a line and epoch."""
        return self.path / "metrics.jsonl"

    def start(self, config: TrainConfig) -> None:
        """Create the folder for a new run.

        Raises:
            LightDepthError: it holds a run already.
        """
        if self.config_path.exists():
            raise LightDepthError(
                f"{self.path} already holds a run; continue it with --resume or choose another --output."
            )
        make_folder(self.path)
        write_text(self.config_path, yaml.safe_dump(config.model_dump(), sort_keys=False))

    def check_same_config(self, config: TrainConfig) -> None:
        """Refuse to resume with another config; name each difference."""
        if not self.config_path.exists():
            raise LightDepthError(f"{self.path} holds no run to resume (no config.yaml); start one without --resume.")
        old, new = load_config(self.config_path).model_dump(), config.model_dump()
        differences = [f"{key} was {old[key]!r}, now {new[key]!r}" for key in new if old[key] != new[key]]
        if differences:
            raise LightDepthError(
                f"{self.path} can't be resumed with another config: {'; '.join(differences)}. Start a new run in another --output."
            )

    def states(self) -> list[Path]:
        """Return the saved training states, oldest first."""
        return sorted((self.path / "state").glob("epoch-*"))

    def save_state(self, accelerator: Accelerator, epoch: int) -> None:
        """Save optimizer, schedule, scaler, EMA and random generators under a temporary name, then rename."""
        final = self.path / "state" / f"epoch-{epoch:04d}"
        temporary = final.with_name(f".{final.name}.tmp")
        if accelerator.is_main_process:
            shutil.rmtree(temporary, ignore_errors=True)
        accelerator.wait_for_everyone()
        accelerator.save_state(str(temporary))
        accelerator.wait_for_everyone()
        if accelerator.is_main_process:
            temporary.rename(final)
            for old in self.states()[:-KEPT_STATES]:
                shutil.rmtree(old)

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the rows of `metrics.jsonl`."""
        return (
            [json.loads(line) for line in self.metrics_path.read_text().splitlines()]
            if self.metrics_path.exists()
            else []
        )

    def write_metrics(self, rows: list[Mapping[str, float]]) -> None:
        """Replace `metrics.jsonl` atomically."""
        write_text(self.metrics_path, "".join(json.dumps(row) + "\n" for row in rows))


def newest_run(runs: Path = Path("runs")) -> RunFolder:
    """Return the run whose best checkpoint is newest.

    Raises:
        LightDepthError: there is none.
    """
    checkpoints = sorted(runs.glob("*/best.safetensors"), key=lambda path: path.stat().st_mtime)
    if not checkpoints:
        raise LightDepthError(
            f"No trained run under {runs.resolve()}; train one with `lightdepth train`, or name a checkpoint."
        )
    return RunFolder(checkpoints[-1].parent)
