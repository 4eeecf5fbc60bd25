"""Training: one epoch loop over augmented pairs, validated each epoch with the runtime's own evaluation."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import set_seed
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluate import EvalResult, evaluate
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.progress import track
from lightdepth_runtime.protocol import get_protocol
from lightdepth_runtime.spec import SIZE_DIVISOR

from .checkpoint import build_model, save_checkpoint
from .config import TrainConfig
from .data import build_loader
from .losses import DepthLoss
from .model import LightDepth
from .optimiser import build_optimiser, build_schedule
from .run_folder import RunFolder, Stateful
from .run_inputs import Say, check_not_empty, describe, load_training_data, silent, usable_precision
from .torch_backend import TorchBackend

__all__ = ["train"]


@dataclass
class Progress:
    """Where a run stands; saved with the training state."""

    epoch: int = 0  # finished epochs
    step: int = 0
    best_rmse_m: float = float("inf")

    def state_dict(self) -> dict[str, float]:
        """Return the values to save."""
        return {"epoch": self.epoch, "step": self.step, "best_rmse_m": self.best_rmse_m}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:  # Any: ints and a float
        """Take saved values."""
        self.epoch, self.step = int(state_dict["epoch"]), int(state_dict["step"])
        self.best_rmse_m = float(state_dict["best_rmse_m"])


def train(
    config: TrainConfig,
    output: Path,
    *,
    pairs: tuple[PairSet, PairSet | None] | None = None,
    resume: bool = False,
    say: Say = silent,
) -> RunFolder:
    """Train a network and leave its checkpoints in `output`.

    Args:
        config: validated settings; `data_root` must be set unless `pairs` are given.
        output: the run's folder, created.
        pairs: training and validation pairs (None: no validation), instead of those the config names.
        resume: continue the run in `output` from its last whole epoch, or from its beginning where none was finished.
        say: receives a line at the start and after each epoch.

    Raises:
        LightDepthError: faulty data or settings, a folder in use, or a loss that is no longer finite.
    """
    AcceleratorState._reset_state()  # else a second training in this process can't choose another precision
    return _Training(config, output, pairs or load_training_data(config), resume=resume, say=say).run()


class _Training:
    """Everything an epoch needs, prepared once."""

    def __init__(
        self, config: TrainConfig, output: Path, pairs: tuple[PairSet, PairSet | None], *, resume: bool, say: Say
    ) -> None:
        self.folder = RunFolder(output)
        training, self.validation = pairs
        check_not_empty(training)
        if self.validation is not None:
            check_not_empty(self.validation)
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        set_seed(config.seed)
        precision = usable_precision(config.precision, say)
        self.accelerator = Accelerator(
            mixed_precision={"fp32": "no"}.get(precision, precision), step_scheduler_with_optimizer=False
        )
        self.say = say if self.accelerator.is_main_process else silent
        if resume:
            self.folder.check_same_config(config)
        elif self.accelerator.is_main_process:
            self.folder.check_unused()
        network = build_model(config)
        self.config = config
        self.spec = describe(config, network, training)
        self._prepare(network, training)
        self.progress = Progress()
        if not resume and self.accelerator.is_main_process:
            self.folder.start(config)
        if resume and not self.folder.load_state(self.accelerator, self._parts()):
            self.say(f"{output} has no finished epoch; starting from the beginning.")
        self.say(
            f"{self.spec.name}: {self.spec.parameters:,} parameters, {len(training)} training and "
            f"{len(self.validation or ())} validation pairs, {self.spec.input_width}x{self.spec.input_height}, "
            f"{precision} on {self.accelerator.device}, {len(self.loader)} steps an epoch"
        )

    def _prepare(self, network: LightDepth, training: PairSet) -> None:
        config = self.config
        batch = min(config.batch_size, len(training))
        if batch * config.image_height * config.image_width == SIZE_DIVISOR**2:
            raise LightDepthError(
                f"BatchNorm can't train on one {SIZE_DIVISOR}x{SIZE_DIVISOR} image at a time; use a larger batch_size "
                "or input size."
            )
        loader, self.sampler = build_loader(
            training.pairs, self.spec, config, pin_memory=self.accelerator.device.type == "cuda"
        )
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in torch's stub
        self.ema = ModelEmaV3(network, decay=config.ema_decay, use_warmup=True)
        optimiser = build_optimiser(network, config)
        self.model, self.optimiser, self.loader = self.accelerator.prepare(network, optimiser, loader)
        if len(self.loader) == 0:
            raise LightDepthError(
                f"{len(training)} pairs make no batch of {config.batch_size} for each of "
                f"{self.accelerator.num_processes} processes; use a smaller batch_size or fewer processes."
            )
        self.ema.to(self.accelerator.device)
        self.schedule = build_schedule(optimiser, config, len(self.loader))
        self.loss = DepthLoss(config.loss, config.silog_lambda, config.gradient_weight, config.l1_weight)

    def run(self) -> RunFolder:
        """Train the epochs that are left."""
        folder = str(self.folder.path / "tensorboard")
        with SummaryWriter(folder) if self.accelerator.is_main_process else nullcontext() as board:
            while self.progress.epoch < self.config.epochs:
                self._epoch(board)
        return self.folder

    def _parts(self) -> dict[str, Stateful]:
        """Return what is saved beside model, optimiser and random generators."""
        return {"schedule": self.schedule, "ema": self.ema, "progress": self.progress}

    def _epoch(self, board: SummaryWriter | None) -> None:
        started = time.monotonic()
        epoch = self.progress.epoch
        learning_rate = max(self.schedule.get_last_lr())
        loss, images = self._train_steps(epoch)
        images_per_s = images * self.accelerator.num_processes / (time.monotonic() - started)
        self.progress.epoch += 1
        if board is not None:
            result = self._validate()
            row = {
                "epoch": epoch + 1,
                "loss": loss,
                "images_per_s": images_per_s,
                "learning_rate": learning_rate,
                **(result.metrics.to_dict() if result else {}),
                "seconds": time.monotonic() - started,
            }
            self._keep_weights(result)
            self._record(row, board)
        self.folder.save_state(self.accelerator, self.progress.epoch, self._parts())

    def _train_steps(self, epoch: int) -> tuple[float, int]:
        """Train one epoch; return its mean loss and the number of images of this process."""
        self.model.train()
        self.sampler.epoch = epoch
        total, done, images, started = 0.0, 0, 0, time.monotonic()

        def status() -> str:
            rate = images / max(time.monotonic() - started, 1e-9)
            return f"{rate:.1f} images/s loss {total / max(done, 1):.4f}"

        for image, depth_m, names in track(
            self._batches(), f"Epoch {epoch + 1}/{self.config.epochs}", len(self.loader), status=status
        ):
            total += self._step(image, depth_m, names)
            done += 1
            images += len(names)
        return total / done, images

    def _step(self, image: Tensor, depth_m: Tensor, names: list[str]) -> float:
        prediction = self.model(image.contiguous(memory_format=torch.channels_last))
        loss = self.loss(prediction, depth_m)
        value = loss.item()
        if not math.isfinite(value):
            raise LightDepthError(
                f"The loss is {value} at step {self.progress.step} with {', '.join(names[:4])}; start again with a "
                "lower learning_rate or precision fp32 (the checkpoints of the last whole epoch are kept)."
            )
        self.accelerator.backward(loss)
        self.accelerator.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimiser.step()
        if not self.accelerator.optimizer_step_was_skipped:
            self.schedule.step()
        self.optimiser.zero_grad()
        self.progress.step += 1
        self.ema.update(self.accelerator.unwrap_model(self.model), step=self.progress.step)
        return value

    def _batches(self) -> Iterable[tuple[Tensor, Tensor, list[str]]]:
        """Yield batches; an error inside a worker loses the traceback that PyTorch puts before it."""
        try:
            yield from self.loader
        except LightDepthError as error:
            sentence = str(error).strip().splitlines()[-1]
            raise LightDepthError(sentence.removeprefix(f"{LightDepthError.__module__}.LightDepthError: ")) from error
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise LightDepthError(
                "A data worker was killed, probably for lack of memory; use fewer num_workers or a smaller batch_size."
            ) from error

    def _network(self) -> LightDepth:
        """Return the averaged weights, which are what is validated and kept."""
        return cast(LightDepth, self.ema.module)

    def _validate(self) -> EvalResult | None:
        if self.validation is None:
            return None
        estimator = DepthEstimator(TorchBackend(self._network(), self.spec, str(self.accelerator.device)))
        return evaluate(
            estimator,
            self.validation,
            get_protocol("eigen"),
            model=self.spec.name,
            progress=lambda pairs: track(pairs, "Validating", len(pairs)),
        )

    def _keep_weights(self, result: EvalResult | None) -> None:
        """Write `last`, and `best` where it is the best so far; without validation the newest is the best."""
        spec, rmse_m = self.spec, 0.0
        if result:
            rmse_m = result.metrics.rmse_m
            scores = {
                "protocol": result.protocol.id,
                "data": "validation",
                "samples": result.samples,
                **result.metrics.to_dict(),
            }
            spec = spec.with_changes(scores=scores)
        if result is None or rmse_m < self.progress.best_rmse_m:
            self.progress.best_rmse_m = rmse_m
            save_checkpoint(self.folder.best, self._network(), spec, self.config)
        save_checkpoint(self.folder.last, self._network(), spec, self.config)

    def _record(self, row: dict[str, float], board: SummaryWriter) -> None:
        """Write the metrics and curves of a finished epoch; an epoch trained again replaces its row."""
        rows = [old for old in self.folder.read_metrics() if old["epoch"] < row["epoch"]]
        self.folder.write_metrics([*rows, row])
        for key, value in row.items():
            if key != "epoch":
                board.add_scalar(key, value, int(row["epoch"]))
        left_s = row["seconds"] * (self.config.epochs - self.progress.epoch)
        scores = (
            f"RMSE {row['rmse_m']:.3f} m, AbsRel {row['abs_rel']:.3f}, delta1 {row['delta1']:.3f}, "
            if "rmse_m" in row
            else ""
        )
        self.say(
            f"epoch {int(row['epoch'])}/{self.config.epochs}: loss {row['loss']:.4f}, {scores}"
            f"{row['images_per_s']:.1f} images/s, {left_s / 60:.0f} min left"
        )
