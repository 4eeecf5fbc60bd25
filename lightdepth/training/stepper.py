"""Training steps: gradients gathered over batches, clipped, and given up where they are not finite.

The host never waits for the device within a step: whether a step counts is decided on the device, and the host reads
the outcome of many batches at once.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple, cast

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from accelerate.utils import gather_object
from torch import Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.progress import track

from ..data.sample import Sample
from ..data.transport import receive
from .average import WeightAverage
from .objective import Objective, network_of

__all__ = ["Progress", "Stepper", "TrainedEpoch"]

# A single bad batch costs one step; this many in a row mean that the weights themselves are lost.
MOST_SKIPPED = 5
# The gradient scale starts at 2^16 and halves on each overflow: after this many in a row it would be below 2^-4.
MOST_OVERFLOWS = 20
NAMES_SHOWN = 4
# How many batches a GPU may be ahead of what the host knows of them. On a CPU there is nothing to wait for.
BATCHES_UNREAD = 25


@dataclass
class Progress:
    """Where a run stands; saved with the training state."""

    epoch: int = 0  # finished epochs
    step: int = 0  # optimiser steps
    best_rmse_m: float = float("inf")
    skipped: int = 0  # batches whose loss or gradient was not finite
    skipped_in_a_row: int = 0
    overflows: int = 0  # steps that the gradient scaler left out
    overflows_in_a_row: int = 0

    def state_dict(self) -> dict[str, float]:
        """Return the values to save."""
        return asdict(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:  # Any: ints and a float
        """Take saved values; a count that an older state doesn't have starts at 0."""
        for key, value in state_dict.items():
            setattr(self, key, type(getattr(self, key))(value))


class _Outcome(NamedTuple):
    """What the device will know of a batch once it has got there."""

    loss: Tensor  # scalar, the mean over the processes
    norm: Tensor | None  # of the group's gradients, where the batch ended a group
    names: list[str]


@dataclass(frozen=True)
class TrainedEpoch:
    """What the batches of an epoch gave; `images` and `left_out` are of all processes, the rest is this one's."""

    loss: float  # the mean of the finite ones
    images: int
    first_batch_s: float  # how long the first batch was waited for
    left_out: int  # pairs without a reading


@dataclass
class Stepper:
    """Takes one batch after the other and steps the optimiser each time enough of them are gathered.

    A batch whose loss is not finite spoils its group: the group's step is left out, and what its forward pass did to
    BatchNorm's running statistics is undone. Weights, optimiser and averaged weights stay as they were; the learning
    rate goes on along its schedule, and fp16's gradient scale halves.
    """

    accelerator: Accelerator
    model: nn.Module
    objective: Objective
    optimiser: AcceleratedOptimizer
    schedule: LRScheduler
    average: WeightAverage
    progress: Progress
    clip_norm: float
    batches_per_epoch: int

    def __post_init__(self) -> None:
        self._position = 0  # of the next batch in its epoch
        self._unread: list[_Outcome] = []
        self.losses: list[float] = []  # finite ones, of the epoch
        self._spoiled = False  # a batch of the group whose outcome is read had no finite loss
        self._most_unread = 1 if self.accelerator.device.type == "cpu" else BATCHES_UNREAD
        # A forward pass on bad values poisons BatchNorm's running statistics before its loss is known.
        buffers = list(self.model.buffers())
        self._buffers = [[b for b in buffers if b.dtype == dtype] for dtype in dict.fromkeys(b.dtype for b in buffers)]

    def __call__(self, batch: Sample) -> None:
        """Train on a batch.

        Raises:
            LightDepthError: too many steps in a row that are not finite; names a batch's files. On a GPU it comes up to
                `BATCHES_UNREAD` batches late.
        """
        with self.accelerator.accumulate(self.model):
            loss = self._gather(batch)
            self._position = (self._position + 1) % self.batches_per_epoch
            norm = self._update() if self.accelerator.sync_gradients else None
        self._unread.append(_Outcome(loss, norm, batch.names))
        if len(self._unread) >= self._most_unread:
            self.read()

    def train_epoch(self, loader: Iterable[Sample], label: str) -> TrainedEpoch:
        """Train on every batch of an epoch; the main process shows its progress behind the label.

        Raises:
            LightDepthError: see `__call__`, or no batch had a finite loss.
        """
        processes = self.accelerator.num_processes
        self.losses = []
        images, started, first_batch_s = 0, time.monotonic(), 0.0

        def status() -> str:
            rate = images * processes / max(time.monotonic() - started, 1e-9)
            overflows = self.progress.overflows
            loss = f", loss {_mean(self.losses):.4f}" if self.losses else ""  # a GPU's are read some batches late
            return f"{rate:.1f} images/s{loss}" + (f", {overflows} overflows" if overflows else "")

        batches: Iterable[Sample] = receive(loader, self.accelerator.device)
        if self.accelerator.is_main_process:
            batches = track(batches, label, self.batches_per_epoch, status=status)
        left_out: set[str] = set()
        for batch in batches:
            first_batch_s = first_batch_s or time.monotonic() - started
            self(batch)
            images += len(batch.names)
            left_out.update(batch.left_out)
        self.read()
        if processes > 1:
            left_out = set().union(*gather_object([left_out]))
        if not self.losses:
            raise LightDepthError(
                f"No batch of {label.lower()} had a finite loss; start again with a lower learning_rate or precision "
                "fp32."
            )
        return TrainedEpoch(_mean(self.losses), images * processes, first_batch_s, len(left_out))

    def read(self) -> None:
        """Wait for the device, and count what became of the batches since the last call.

        Raises:
            LightDepthError: see `__call__`.
        """
        outcomes, self._unread = self._unread, []
        if not outcomes:
            return
        values = torch.stack([outcome.loss for outcome in outcomes]).tolist()
        norms = [outcome.norm for outcome in outcomes if outcome.norm is not None]
        norm_values = iter(torch.stack(norms).tolist() if norms else ())
        for outcome, value in zip(outcomes, values, strict=True):
            self._count(value, None if outcome.norm is None else next(norm_values), outcome.names)

    def _gather(self, batch: Sample) -> Tensor:
        """Add a batch's gradients to the group's; return the loss."""
        kept = [torch.cat([buffer.flatten() for buffer in buffers]) for buffers in self._buffers]
        loss = self.objective(self.model, batch)
        # The mean over the processes is NaN everywhere when it is in one, so that all of them leave the batch out.
        value = cast(Tensor, self.accelerator.reduce(loss.detach(), "mean"))
        finite = value.isfinite()
        # NaN in a gradient is how the group learns of it, whatever made the loss what it is.
        self.accelerator.backward(loss * (self._group_factor() * torch.where(finite, 1.0, torch.nan)))
        with torch.no_grad():
            for buffers, before in zip(self._buffers, kept, strict=True):
                chosen = torch.where(finite, torch.cat([buffer.flatten() for buffer in buffers]), before)
                parts = chosen.split([buffer.numel() for buffer in buffers])
                shaped = [part.view_as(buffer) for part, buffer in zip(parts, buffers, strict=True)]
                torch._foreach_copy_(buffers, shaped)  # pyright: ignore[reportPrivateImportUsage]
        return value

    def _group_factor(self) -> float:
        """Return by how much accumulation divides too far: an epoch's last group may have fewer batches."""
        most = self.accelerator.gradient_accumulation_steps
        batches = min(most, self.batches_per_epoch - self._position // most * most)
        return most / batches

    def _update(self) -> Tensor:
        """Step the optimiser with the gathered gradients where they are finite; return their norm."""
        norm = cast(Tensor, self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip_norm))
        finite = norm.isfinite()
        if self.accelerator.scaler is None:  # which else tells the optimiser
            self.optimiser.optimizer.found_inf = (~finite).float()  # pyright: ignore[reportAttributeAccessIssue]  # as GradScaler does
        self.optimiser.step()
        self.optimiser.zero_grad()
        self.schedule.step()
        self.average.update(network_of(self.accelerator.unwrap_model(self.model)), finite.float())
        return norm

    def _count(self, loss: float, norm: float | None, names: list[str]) -> None:
        """Count a batch, and where it ended a group its step."""
        if math.isfinite(loss):
            self.losses.append(loss)
        else:
            self._skip(f"The loss is {loss}", names)
            self._spoiled = True
        if norm is None:
            return
        progress = self.progress
        if self._spoiled:
            self._spoiled = False
        elif math.isfinite(norm):
            progress.step += 1
            progress.skipped_in_a_row = progress.overflows_in_a_row = 0
        elif self.accelerator.scaler is None:
            self._skip(f"The gradient's norm is {norm}", names)
        else:
            progress.overflows += 1
            progress.overflows_in_a_row += 1
            if progress.overflows_in_a_row >= MOST_OVERFLOWS:
                raise LightDepthError(
                    f"The gradient overflowed fp16 in {MOST_OVERFLOWS} steps in a row, the last with {_some(names)}; "
                    "train with precision bf16 or fp32."
                )

    def _skip(self, what: str, names: list[str]) -> None:
        """Count a batch that was left out."""
        progress = self.progress
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if progress.skipped_in_a_row >= MOST_SKIPPED:
            raise LightDepthError(
                f"{what} at step {progress.step} with {_some(names)}, not finite in {MOST_SKIPPED} batches in a row; "
                "start again with a lower learning_rate or precision fp32 (the checkpoints of the last whole epoch are "
                "kept)."
            )


def _mean(losses: Sequence[float]) -> float:
    return sum(losses) / len(losses)


def _some(names: Iterable[str]) -> str:
    """Name the first files of a batch."""
    names = list(names)
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
