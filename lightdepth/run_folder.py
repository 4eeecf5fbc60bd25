"""A run's folder: `best` and `last` checkpoints, training state, metrics, config. Whatever is there is whole."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
import yaml
from accelerate import Accelerator
from safetensors import SafetensorError

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.errors import LightDepthError

from .config import TrainConfig, load_config

__all__ = ["RunFolder", "Stateful", "newest_run", "newest_state"]

KEPT_STATES = 2
# A resumed run may use other hardware; every other key changes what is trained.
FREE_ON_RESUME = frozenset({"num_threads", "num_workers"})


class Stateful(Protocol):
    """Something whose state can be saved and taken back."""

    def state_dict(self) -> Mapping[str, Any]:  # Any: tensors, numbers and text
        """Return the state."""
        ...

    def load_state_dict(self, state_dict: Any) -> object:  # Any: what `state_dict` returned
        """Take a saved state."""
        ...


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

    def check_unused(self) -> None:
        """Refuse a folder that holds a run, before anything slow begins.

        Raises:
            LightDepthError: it holds a run already.
        """
        if self.config_path.exists():
            raise LightDepthError(
                f"{self.path} already holds a run; continue it with --resume or choose another --output."
            )

    def start(self, config: TrainConfig) -> None:
        """Create the folder for a new run.

        Raises:
            LightDepthError: it holds a run already, or can't be written.
        """
        self.check_unused()
        make_folder(self.path)
        write_text(self.config_path, yaml.safe_dump(config.model_dump(), sort_keys=False))

    def require_config(self) -> Path:
        """Return the config's path.

        Raises:
            LightDepthError: this folder holds no run.
        """
        if not self.config_path.exists():
            raise LightDepthError(f"{self.path} holds no run to resume (no config.yaml); start one without --resume.")
        return self.config_path

    def check_same_config(self, config: TrainConfig) -> None:
        """Refuse to resume with another config; workers and threads may differ.

        Raises:
            LightDepthError: no run here, or keys that differ, each named.
        """
        old, new = load_config(self.require_config()).model_dump(), config.model_dump()
        differences = [
            f"{key} was {old[key]!r}, now {new[key]!r}"
            for key in new
            if old[key] != new[key] and key not in FREE_ON_RESUME
        ]
        if differences:
            raise LightDepthError(
                f"{self.path} can't be resumed with another config ({'; '.join(differences)}); start a new run in "
                "another --output."
            )

    def states(self) -> list[Path]:
        """Return the saved training states, oldest first."""
        return sorted((self.path / "state").glob("epoch-*"))

    def save_state(self, accelerator: Accelerator, epoch: int, parts: Mapping[str, Stateful]) -> None:
        """Save model, optimiser, scaler, random generators and `parts` under a temporary name, then rename.

        Raises:
            LightDepthError: the state can't be written.
        """
        final = self.path / "state" / f"epoch-{epoch:04d}"
        temporary = final.with_name(f".{final.name}.tmp")
        try:
            accelerator.save_state(str(temporary))
            if accelerator.is_main_process:
                for name, part in parts.items():
                    torch.save(part.state_dict(), temporary / f"{name}.pt")
            accelerator.wait_for_everyone()
            if accelerator.is_main_process:
                temporary.rename(final)
                for old in self.states()[:-KEPT_STATES]:
                    shutil.rmtree(old)
        except (OSError, RuntimeError, SafetensorError) as error:  # torch's writer raises RuntimeError on a full disk
            reason = next(iter(str(error).splitlines()), type(error).__name__)
            raise LightDepthError(f"Can't save the training state {final} ({reason}); free some space.") from error

    def load_state(self, accelerator: Accelerator, parts: Mapping[str, Stateful]) -> bool:
        """Take the newest whole state; return False where no epoch was finished.

        The parts are read here: Accelerate's `register_for_checkpointing` would unpickle code.

        Raises:
            LightDepthError: the state can't be read.
        """
        if accelerator.is_main_process:
            self._drop_unfinished()
        states = self.states()
        if not states:
            return False
        try:
            accelerator.load_state(str(states[-1]))
            for name, part in parts.items():
                part.load_state_dict(torch.load(states[-1] / f"{name}.pt", map_location="cpu", weights_only=True))
        except Exception as error:  # torch, zipfile, pickle and safetensors each raise their own
            reason = next(iter(str(error).splitlines()), type(error).__name__)[:200]
            raise LightDepthError(
                f"The training state {states[-1]} can't be read ({reason}); delete that folder and --resume again to "
                "continue from the epoch before."
            ) from error
        return True

    def _drop_unfinished(self) -> None:
        """Delete what an interrupted `save_state` left."""
        for path in (self.path / "state").glob(".epoch-*.tmp"):
            shutil.rmtree(path, ignore_errors=True)

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the rows of `metrics.jsonl`."""
        if not self.metrics_path.exists():
            return []
        return [json.loads(line) for line in self.metrics_path.read_text().splitlines()]

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


def newest_state(runs: Path = Path("runs")) -> RunFolder:
    """Return the run that was trained last, finished or not.

    Raises:
        LightDepthError: there is none.
    """
    started = [*runs.glob("*/config.yaml"), *runs.glob("*/metrics.jsonl")]
    if not started:
        raise LightDepthError(f"No run to resume under {runs.resolve()}; name its folder with --output.")
    return RunFolder(max(started, key=lambda path: path.stat().st_mtime).parent)
