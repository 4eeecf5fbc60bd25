"""Training: one epoch loop over augmented pairs, validated each epoch with the runtime's own evaluation."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import Accelerator
from accelerate.utils import set_seed
from timm.utils.model_ema import ModelEmaV3
from torch import Tensor, nn
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluate import EvalResult, evaluate
from lightdepth_runtime.pairs import PairSet, load_pairs
from lightdepth_runtime.progress import track
from lightdepth_runtime.protocol import get_protocol
from lightdepth_runtime.spec import ModelSpec

from .augment import Augmentation
from .checkpoint import build_model, count_parameters, save_checkpoint
from .config import TrainConfig
from .data import EpochSampler, TrainingPairs, collate, limit_worker_threads, split_scenes
from .losses import DepthLoss
from .macs import count_gmacs
from .model import LightDepth
from .optimiser import build_optimiser, build_schedule
from .run_folder import RunFolder
from .source import source_commit
from .torch_backend import TorchBackend

__all__ = ["train"]

Say = Callable[[str], None]


@dataclass
class Progress:
    """Where a run stands; saved with the training state."""

    epoch: int = 0  # finished epochs
    step: int = 0
    best_rmse_m: float = float("inf")

    def state_dict(self) -> dict[str, float]:
        """Return the values to save."""
        return {"epoch": self.epoch, "step": self.step, "best_rmse_m": self.best_rmse_m}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # Any: ints and a float
        """Take saved values."""
        self.epoch, self.step, self.best_rmse_m = int(state["epoch"]), int(state["step"]), float(state["best_rmse_m"])


def train(
    config: TrainConfig,
    output: Path,
    *,
    pairs: tuple[PairSet, PairSet | None] | None = None,
    resume: bool = False,
    say: Say = lambda text: None,
) -> RunFolder:
    """Train a network and leave its checkpoints in `output`.

    Args:
        config: validated settings; `data_root` must be set unless `pairs` are given.
        output: the run's folder, created.
        pairs: training and validation pairs (None: no validation), instead of those the config names.
        resume: continue the run in `output` from its last whole state.
        say: receives a line at the start and after each epoch.

    Raises:
        LightDepthError: faulty data or settings, a folder in use, or a loss that is no longer finite.
    """
    return _Training(config, output, pairs or load_training_data(config), resume=resume, say=say).run()


class _Training:
    """Everything an epoch needs, prepared once."""

    def __init__(
        self, config: TrainConfig, output: Path, pairs: tuple[PairSet, PairSet | None], *, resume: bool, say: Say
    ) -> None:
        self.folder = RunFolder(output)
        training, self.validation = pairs
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        set_seed(config.seed)
        precision = usable_precision(config.precision, say)
        self.accelerator = Accelerator(
            mixed_precision={"fp32": "no"}.get(precision, precision), step_scheduler_with_optimizer=False
        )
        self.say = say if self.accelerator.is_main_process else lambda text: None
        network = build_model(config)
        self.config = config
        self.spec = describe(config, network, training)
        if self.accelerator.is_main_process:
            self.folder.check_same_config(config) if resume else self.folder.start(config)
        self._prepare(network, training)
        self.progress = Progress()
        self.accelerator.register_for_checkpointing(self.schedule, self.ema, self.progress)
        if resume:
            self._resume()
        self.say(
            f"{self.spec.name}: {self.spec.parameters:,} parameters, {len(training)} training and {len(self.validation or ())} validation pairs, "
            f"{self.spec.input_width}x{self.spec.input_height}, {precision} on {self.accelerator.device}, {len(self.loader)} steps an epoch"
        )

    def _prepare(self, network: LightDepth, training: PairSet) -> None:
        config = self.config
        settings = Augmentation(config.zoom_max, config.flip, config.color_jitter)
        self.sampler = EpochSampler(len(training), config.seed, config.passes_per_epoch)
        loader = DataLoader(
            TrainingPairs(training.pairs, self.spec, settings, config.seed),
            batch_size=config.batch_size,
            sampler=self.sampler,
            num_workers=config.num_workers,
            collate_fn=collate,
            worker_init_fn=limit_worker_threads,
            drop_last=len(training) >= config.batch_size,  # BatchNorm over a batch of one is noise
            # Workers live for the whole run: the epoch travels in the sampler's keys. They are not forked: OpenCV's
            # thread pool, which validation starts in this process, deadlocks in a forked child.
            persistent_workers=config.num_workers > 0,
            multiprocessing_context="forkserver" if config.num_workers else None,
            pin_memory=self.accelerator.device.type == "cuda",
        )
        network = network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub lacks this overload
        self.ema = ModelEmaV3(network, decay=config.ema_decay, use_warmup=True)
        optimiser = build_optimiser(network, config)
        self.model, self.optimiser, self.loader = self.accelerator.prepare(network, optimiser, loader)
        self.ema.to(self.accelerator.device)
        self.schedule = build_schedule(optimiser, config, len(self.loader))
        self.loss = DepthLoss(config.loss, config.silog_lambda, config.gradient_weight, config.l1_weight)

    def run(self) -> RunFolder:
        """Train the epochs that are left."""
        with SummaryWriter(str(self.folder.path / "tensorboard")) as board:
            while self.progress.epoch < self.config.epochs:
                self._epoch(board)
        return self.folder

    def _epoch(self, board: SummaryWriter) -> None:
        started = time.monotonic()
        epoch = self.progress.epoch
        loss = self._train_steps(epoch)
        images_per_s = (
            len(self.loader) * self.config.batch_size * self.accelerator.num_processes / (time.monotonic() - started)
        )
        self.progress.epoch += 1
        if self.accelerator.is_main_process:
            result = self._validate()
            row = {
                "epoch": epoch + 1,
                "loss": loss,
                "images_per_s": images_per_s,
                "learning_rate": float(self.schedule.get_last_lr()[-1]),
                **(result.metrics.to_dict() if result else {}),
                "seconds": time.monotonic() - started,
            }
            self._keep_weights(result)
            self._record(row, board)
        self.folder.save_state(self.accelerator, self.progress.epoch)

    def _train_steps(self, epoch: int) -> float:
        """Train one epoch; return its mean loss."""
        self.model.train()
        self.sampler.epoch = epoch
        total, done, started = 0.0, 0, time.monotonic()

        def status() -> str:
            rate = done * self.config.batch_size / (time.monotonic() - started)
            return f"{rate:.1f} images/s loss {total / max(done, 1):.4f}"

        for image, depth_m, names in track(
            self._batches(), f"Epoch {epoch + 1}/{self.config.epochs}", len(self.loader), status=status
        ):
            total += self._step(image, depth_m, names)
            done += 1
        return total / done

    def _step(self, image: Tensor, depth_m: Tensor, names: list[str]) -> float:
        prediction = self.model(image.contiguous(memory_format=torch.channels_last))
        loss = self.loss(prediction, depth_m)
        value = loss.item()
        if value != value or value in (float("inf"), float("-inf")):
            raise LightDepthError(
                f"The loss is {value} at step {self.progress.step} with {', '.join(names[:4])}; lower learning_rate or use precision fp32. "
                "The last whole epoch is kept; --resume continues from it."
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
            raise LightDepthError(
                str(error).strip().splitlines()[-1].removeprefix("lightdepth_runtime.errors.LightDepthError: ")
            ) from error

    def _network(self) -> LightDepth:
        """Return the averaged weights, which are what is validated and kept."""
        return cast(LightDepth, self.ema.module)

    def _validate(self) -> EvalResult | None:
        if self.validation is None:
            return None
        estimator = DepthEstimator(TorchBackend(self._network(), self.spec, str(self.accelerator.device)))
        return evaluate(estimator, self.validation, get_protocol("eigen"), model=self.spec.name)

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
        """Write the metrics and curves of a finished epoch."""
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
            f"epoch {int(row['epoch'])}/{self.config.epochs}: loss {row['loss']:.4f}, {scores}{row['images_per_s']:.1f} images/s, {left_s / 60:.0f} min left"
        )

    def _resume(self) -> None:
        states = self.folder.states()
        if not states:
            raise LightDepthError(
                f"{self.folder.path} has no finished epoch to resume from; start again in another --output."
            )
        self.accelerator.load_state(str(states[-1]))


def load_training_data(config: TrainConfig) -> tuple[PairSet, PairSet | None]:
    """Return training and validation pairs; validation never touches a test split unless `val_data` names one.

    With `val_fraction` 0 and no `val_data` everything is trained on and nothing validated.

    Raises:
        LightDepthError: no data given, or a fault in it.
    """
    if config.data_root is None:
        raise LightDepthError("No training data given; pass --data DIR (or set data_root in config.yaml).")
    pairs = load_pairs(config.data_root, "train")
    if config.val_data is not None:
        return pairs, load_pairs(config.val_data, "test")
    if config.val_fraction == 0:
        return pairs, None
    return split_scenes(pairs, config.val_fraction, config.seed)


def describe(config: TrainConfig, network: nn.Module, training: PairSet) -> ModelSpec:
    """Write down what the checkpoints of this run will be."""
    return ModelSpec(
        name=f"lightdepth-{config.encoder}",
        input_height=config.image_height,
        input_width=config.image_width,
        parameters=count_parameters(network),
        gmacs=count_gmacs(network, config.image_height, config.image_width),
        max_depth_m=config.max_depth_m,
        training_data=f"{training.root.name} ({training.packaging}, {len(training)} pairs)",
        intrinsics=config.camera() or training.intrinsics,
        source_commit=source_commit(),
    )


def usable_precision(precision: str, say: Say) -> str:
    """Return the precision that this device will really use; a change is said.

    On a CPU PyTorch's fp16 autocast is ignored by Accelerate, which would train in FP32 and not tell.
    """
    if precision == "fp16" and not torch.cuda.is_available():
        say("precision fp16 needs a CUDA GPU; there is none here, so this run trains in fp32.")
        return "fp32"
    return precision
