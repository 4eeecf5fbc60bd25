"""A run's folder: `best` and `last` checkpoints, training state, metrics, config. Whatever is there is whole."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from accelerate import Accelerator

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.errors import LightDepthError

from ..config import TrainConfig, load_config
from .record import RunRecord
from .state import Stateful, load_state, save_state, saved_states

__all__ = ["RunFolder", "newest_run", "newest_state"]

# A resumed run may use other hardware, and its files may lie elsewhere: that they are the same, the run's record says
# of pairs and teacher, and the first weights are in its states. Every other key changes what is trained.
FREE_ON_RESUME = frozenset({"num_threads", "num_workers", "shard_cache", "shard_cache_gb", "teacher_cache"})
PLACES = frozenset({"data_root", "val_data", "unlabelled", "distill_from", "start_from"})


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
    def record_path(self) -> Path:
        """What the run was made with: versions, commit, data."""
        return self.path / "run.json"

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

    def start(self, config: TrainConfig, record: RunRecord | None = None) -> None:
        """Create the folder for a new run.

        Raises:
            LightDepthError: it holds a run already, or can't be written.
        """
        self.check_unused()
        make_folder(self.path)
        if record:
            record.write(self.record_path)
        self.write_config(config)

    def require_config(self) -> Path:
        """Return the config's path.

        Raises:
            LightDepthError: this folder holds no run.
        """
        if not self.config_path.exists():
            raise LightDepthError(f"{self.path} holds no run to resume (no config.yaml); start one without --resume.")
        return self.config_path

    def check_same_config(self, config: TrainConfig) -> None:
        """Refuse to resume with another config; workers, threads and the places of files may differ.

        Places may differ where the run has a record that tells its pairs from others.

        Raises:
            LightDepthError: no run here, or keys that differ, each named.
        """
        old, new = load_config(self.require_config()).model_dump(), config.model_dump()
        has_record = self.record_path.exists()
        differences = [
            f"{key} was {old[key]!r}, now {new[key]!r}"
            for key in new
            if old[key] != new[key]
            and key not in FREE_ON_RESUME
            and not (has_record and _is_elsewhere(key, old[key], new[key]))
        ]
        if differences:
            raise LightDepthError(
                f"{self.path} can't be resumed with another config ({'; '.join(differences)}); start a new run, from "
                f"this one's weights with --start-from {self.best}."
            )

    def write_config(self, config: TrainConfig) -> None:
        """Replace `config.yaml`; on resuming once the files are known to be the same, which may lie elsewhere now."""
        write_text(self.config_path, yaml.safe_dump(config.model_dump(), sort_keys=False))

    def states(self) -> list[Path]:
        """Return the saved training states, oldest first."""
        return saved_states(self.path / "state")

    def save_state(self, accelerator: Accelerator, epoch: int, parts: Mapping[str, Stateful]) -> None:
        """Save model, optimiser, scaler, random generators and `parts`; see `state.save_state`."""
        save_state(self.path / "state", accelerator, epoch, parts)

    def load_state(
        self, accelerator: Accelerator, parts: Mapping[str, Stateful], say: Callable[[str], object] = str
    ) -> bool:
        """Take the newest whole state, and delete half-written files; see `state.load_state`."""
        if accelerator.is_main_process:
            for file in (self.best, self.last, self.metrics_path, self.config_path, self.record_path):
                for left in self.path.glob(f".{file.stem}.*{file.suffix}"):  # as `atomic_path` names them
                    left.unlink(missing_ok=True)
        return load_state(self.path / "state", accelerator, parts, say)

    def read_metrics(self) -> list[dict[str, float]]:
        """Return the rows of `metrics.jsonl`.

        Raises:
            LightDepthError: the file is damaged.
        """
        if not self.metrics_path.exists():
            return []
        try:
            return [json.loads(line) for line in self.metrics_path.read_text().splitlines()]
        except ValueError as error:
            raise LightDepthError(
                f"{self.metrics_path} is damaged ({error}); delete its damaged lines, or the file."
            ) from error

    def write_metrics(self, rows: list[Mapping[str, float]]) -> None:
        """Replace `metrics.jsonl` atomically."""
        write_text(self.metrics_path, "".join(json.dumps(row) + "\n" for row in rows))


def _is_elsewhere(key: str, old: Any, new: Any) -> bool:  # Any: values of the config's keys
    """Tell whether two values of a key can be two places of the same files: both are one, or none is."""
    if key == "encoder_weights":
        return not {old, new} & {"imagenet", "none"}
    if key == "extra_data":
        return [item["weight"] for item in old] == [item["weight"] for item in new]
    return key in PLACES and None not in (old, new)


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
