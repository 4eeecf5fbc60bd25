"""Training: one epoch loop over augmented pairs, validated each epoch with the runtime's own evaluation."""

from __future__ import annotations

import math
import time
from contextlib import nullcontext
from pathlib import Path
from typing import cast

import torch
from accelerate.utils import broadcast_object_list, set_seed
from torch.utils.tensorboard import SummaryWriter

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import EvalResult
from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.spec import SIZE_DIVISOR

from ..checkpoints.backend import TorchBackend, first_sentence
from ..checkpoints.checkpoint import build_model, save_checkpoint, without_weights
from ..config import TrainConfig
from ..data.loader import build_loader
from ..data.workers import start_worker_server
from ..network.model import LightDepth, freeze_statistics, keep_inputs
from ..runs.folder import RunFolder
from ..runs.record import read_record, record_run
from ..runs.state import Stateful
from .average import WeightAverage
from .first_scale import match_scale
from .inputs import (
    Say,
    check_cameras,
    check_compiler,
    check_not_empty,
    check_training_readings,
    check_validation_readings,
    describe,
    load_training_data,
    silent,
    usable_precision,
)
from .log import draw_validation, log_epoch, log_start
from .objective import FeatureStudent
from .optimiser import build_optimiser, build_schedule
from .processes import describe_batch, share_batch_norm, start_processes
from .stepper import Progress, Stepper
from .teaching import ask_teacher, choose_objective
from .validation import validate, validation_protocol

__all__ = ["train"]


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
        LightDepthError: faulty data or settings, a folder in use, processes that would train apart, or losses that are
            no longer finite.
    """
    if config.num_workers:
        start_worker_server(config.num_workers)
    return _Training(config, output, pairs or load_training_data(config, resume=resume), resume=resume, say=say).run()


class _Training:
    """Everything an epoch needs, prepared once."""

    def __init__(
        self, config: TrainConfig, output: Path, pairs: tuple[PairSet, PairSet | None], *, resume: bool, say: Say
    ) -> None:
        training, self.validation = pairs
        check_not_empty(training)
        if self.validation is not None:
            check_not_empty(self.validation)
        if config.num_threads is not None:
            torch.set_num_threads(config.num_threads)
        torch.backends.cudnn.allow_tf32 = config.tf32  # of FP32 convolutions; CPUs ignore it
        set_seed(config.seed)
        notes: list[str] = []
        precision = usable_precision(config.precision, notes.append)
        self.accelerator = start_processes(config, precision)
        # A name made of the time may differ between processes.
        self.folder = RunFolder(Path(broadcast_object_list([str(output)])[0]))
        self.say = say if self.accelerator.is_main_process else silent
        for note in (*training.notes, *(self.validation.notes if self.validation else ()), *notes):
            self.say(note)
        if resume:
            self.folder.check_same_config(config)
        elif self.accelerator.is_main_process:
            self.folder.check_unused()
        # A state's weights take the place of any others, wherever those lay.
        has_state = resume and bool(self.folder.states())
        network = build_model(without_weights(config) if has_state else config)
        if lacks := network.encoder_lacks:
            self.say(
                f"{config.encoder_weights} lacks {len(lacks)} tensors of the encoder (first: {lacks[0]}), which start "
                "random; a residual block among them starts as its shortcut."
            )
        self.config = config
        self.spec = describe(config, network, training)
        self.progress = Progress()
        check_cameras(training, config.camera())
        if config.distill_from is None:
            check_training_readings(training, config.max_depth_m)
        if self.validation is not None:
            check_cameras(self.validation)
            check_validation_readings(self.validation, validation_protocol(self.validation, self.spec))
        if self.accelerator.is_main_process:
            warn_of_unit(training, self.say, max_depth_m=config.max_depth_m)
        if config.start_from and not has_state and (factor := match_scale(network, self.spec, training)):
            self.say(
                f"Depth of these pairs is {factor:.3g} times what {config.start_from} sees; training begins there."
            )
        self._prepare(network, training)
        self._open_folder(training, resume=resume)
        self.say(
            f"{self.spec.name}: {self.spec.parameters:,} parameters, {len(training)} training and "
            f"{len(self.validation or ())} validation pairs, {self.spec.input_width}x{self.spec.input_height}, "
            f"{precision} on {self.accelerator.device}, {len(self.loader)} steps an epoch, "
            f"{describe_batch(config, self.accelerator.num_processes)}"
        )

    def _open_folder(self, training: PairSet, *, resume: bool) -> None:
        """Start the run's folder, or take up the state that it holds."""
        record = record_run(
            training,
            self.validation,
            processes=self.accelerator.num_processes,
            effective_batch=self.config.batch_size * self.accelerator.num_processes * self.config.accumulate,
            teacher=self.teaching.teacher_id if self.teaching else None,
        )
        if not resume:
            if self.accelerator.is_main_process:
                self.folder.start(self.config, record)
            return
        old = read_record(self.folder.record_path)
        if old:
            record.check_same_data(old, self.say)
        if self.accelerator.is_main_process:
            self.folder.write_config(self.config)
        steps = self.schedule.total_steps
        if not self.folder.load_state(self.accelerator, self._parts(), self.say):
            self.say(f"{self.folder.path} has no finished epoch; starting from the beginning.")
        elif self.schedule.total_steps != steps:
            raise LightDepthError(
                f"{self.folder.path} was begun for {self.schedule.total_steps} steps, and its config.yaml, which was "
                f"changed since, makes {steps}; change it back, or start anew with --start-from {self.folder.best}."
            )
        elif self.progress.epoch >= self.config.epochs:
            self.say(
                f"{self.folder.path} is finished: {self.progress.epoch} of {self.config.epochs} epochs. To train on, "
                f"start a new run with --start-from {self.folder.best}"
            )
        else:
            self.say(f"Resuming {self.folder.path} at epoch {self.progress.epoch + 1} of {self.config.epochs}")

    def _prepare(self, network: LightDepth, training: PairSet) -> None:
        config = self.config
        batch = min(config.batch_size, len(training))
        if batch * config.image_height * config.image_width == SIZE_DIVISOR**2:
            raise LightDepthError(
                f"BatchNorm can't train on one {SIZE_DIVISOR}x{SIZE_DIVISOR} image at a time; use a larger batch_size "
                "or input size."
            )
        self.teaching = ask_teacher(config, training, self.accelerator, self.say)
        lessons = self.teaching.lessons if self.teaching else None
        loader, self.sampler = build_loader(
            training.pairs,
            self.spec,
            config,
            lessons,
            pin_memory=self.accelerator.device.type == "cuda",
            processes=self.accelerator.num_processes,
            say=self.say,
        )
        network = network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]  # not in torch's stub
        self.average = WeightAverage(network, config.ema_decay, config.start_share)
        keep_inputs(network)
        if config.sync_batchnorm:
            share_batch_norm(network, self.accelerator, self.say)
        objective, student = choose_objective(config, network, self.teaching, self.accelerator)
        if config.compile:
            check_compiler()
            student.compile()
        maps = student.maps if isinstance(student, FeatureStudent) else None
        optimiser = build_optimiser(network, config, maps)
        self.loader = self.accelerator.prepare(loader)
        if len(self.loader) == 0:
            raise LightDepthError(
                f"{len(training)} pairs make no batch of {config.batch_size} for each of "
                f"{self.accelerator.num_processes} processes; use a smaller batch_size or fewer processes."
            )
        self.average.to(self.accelerator.device)
        # Before Accelerate wraps the optimiser's step, or else the schedule takes it for one that was never called.
        self.schedule = build_schedule(optimiser, config, math.ceil(len(self.loader) / config.accumulate))
        self.model, self.optimiser = self.accelerator.prepare(student, optimiser)
        self.stepper = Stepper(
            self.accelerator,
            self.model,
            objective,
            self.optimiser,
            self.schedule,
            self.average,
            self.progress,
            config.clip_norm,
            len(self.loader),
        )

    def run(self) -> RunFolder:
        """Train the epochs that are left."""
        folder = str(self.folder.path / "tensorboard")
        # What an interrupted run wrote of later epochs is no longer shown.
        first = self.progress.epoch + 1
        with SummaryWriter(folder, purge_step=first) if self.accelerator.is_main_process else nullcontext() as board:
            if first == 1 and self.config.start_from and self.validation is not None:
                log_start(self._validate(cast(LightDepth, self.average.kept()), self.validation), self.say)
            while self.progress.epoch < self.config.epochs:
                self._epoch(board)
        return self.folder

    def _parts(self) -> dict[str, Stateful]:
        """Return what is saved beside model, optimiser and random generators."""
        return {"schedule": self.schedule, "average": self.average, "progress": self.progress}

    def _epoch(self, board: SummaryWriter | None) -> None:
        started = time.monotonic()
        epoch = self.progress.epoch
        learning_rate = max(self.schedule.get_last_lr())
        skipped, overflows = self.progress.skipped, self.progress.overflows
        self.model.train()
        if self.config.freeze_batchnorm:
            freeze_statistics(self.model)
        self.sampler.epoch = epoch
        try:
            trained = self.stepper.train_epoch(self.loader, f"Epoch {epoch + 1}/{self.config.epochs}")
        except torch.OutOfMemoryError as error:
            config = self.config
            raise LightDepthError(
                f"The GPU's memory is too small for batch_size {config.batch_size} at {config.image_width}x"
                f"{config.image_height} ({first_sentence(error)}); take a smaller batch_size, with accumulate for the "
                "same effective batch."
            ) from error
        images_per_s = trained.images / (time.monotonic() - started)
        self.progress.epoch += 1
        self.kept = cast(LightDepth, self.average.kept())
        if board is not None:  # before validation, whose failure must not cost the epoch's weights
            save_checkpoint(self.folder.last, self.kept, self.spec, self.config)
        result = None if self.validation is None else self._validate(self.kept, self.validation)
        if board is not None:
            row = {
                "epoch": epoch + 1,
                "loss": trained.loss,
                "images_per_s": images_per_s,
                "first_batch_s": trained.first_batch_s,
                "learning_rate": learning_rate,
                "skipped_batches": self.progress.skipped - skipped,
                "overflow_steps": self.progress.overflows - overflows,
                "left_out_pairs": trained.left_out,
                **({**result.metrics.to_dict(), "left_out_validation": result.left_out} if result else {}),
                "seconds": time.monotonic() - started,
            }
            self._keep_weights(result)
            log_epoch(self.folder, row, board, self.config.epochs, self.say)
            if self.validation is not None:
                backend = TorchBackend(self.kept, self.spec, str(self.accelerator.device))
                picture = draw_validation(DepthEstimator(backend), self.validation)
                board.add_image("validation", picture, epoch + 1, dataformats="HWC")
        self.folder.save_state(self.accelerator, self.progress.epoch, self._parts())

    def _validate(self, network: LightDepth, pairs: PairSet) -> EvalResult:
        return validate(network, self.spec, pairs, self.accelerator, readers=self.config.num_workers)

    def _keep_weights(self, result: EvalResult | None) -> None:
        """Write `last`, and `best` where it is the best so far; without validation the newest is the best."""
        spec = self.spec.with_changes(scores=result.record("validation")) if result else self.spec
        rmse_m = result.metrics.rmse_m if result else 0.0
        if result is None or rmse_m < self.progress.best_rmse_m:
            self.progress.best_rmse_m = rmse_m
            save_checkpoint(self.folder.best, self.kept, spec, self.config)
        save_checkpoint(self.folder.last, self.kept, spec, self.config)
