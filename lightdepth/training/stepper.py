"""One training step: gradients gathered over batches, clipped, and given up where they are not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.optimizer import AcceleratedOptimizer
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import LRScheduler

from lightdepth_runtime.errors import LightDepthError

from ..data.sample import Sample
from .objective import Objective, network_of

__all__ = ["Progress", "Stepper"]

# A single bad batch costs one step; this many in a row mean that the weights themselves are lost.
MOST_SKIPPED = 5
# The gradient scale starts at 2^16 and halves on each overflow: after so many in a row it would be below 2^-4.
MOST_OVERFLOWS = 20
NAMES_SHOWN = 4


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


@dataclass
class Stepper:
    """Takes one batch after the other and steps the optimiser each time enough of them are gathered."""

    accelerator: Accelerator
    model: nn.Module
    objective: Objective
    optimiser: AcceleratedOptimizer
    schedule: LRScheduler
    ema: ModelEmaV3
    progress: Progress
    clip_norm: float
    batches_per_epoch: int

    def __post_init__(self) -> None:
        self._position = 0  # of the next batch in its epoch
        self._spoiled = False  # a batch of the present group had no finite loss
        # A forward pass on bad values poisons BatchNorm's running statistics before its loss is known.
        self._buffers = list(self.model.buffers())
        self._kept = [buffer.clone() for buffer in self._buffers]

    def __call__(self, batch: Sample) -> float | None:
        """Train on a batch.

        Returns:
            The loss, averaged over the processes, or None where the batch was left out.

        Raises:
            LightDepthError: too many steps in a row that are not finite; names the batch's files.
        """
        with self.accelerator.accumulate(self.model):
            value = self._gather(batch)
            self._position = (self._position + 1) % self.batches_per_epoch
            finite = math.isfinite(value)
            if not finite:
                self._skip(f"The loss is {value}", batch.names)
            if self.accelerator.sync_gradients:
                self._update(batch.names)
        return value if finite else None

    def _gather(self, batch: Sample) -> float:
        """Add a batch's gradients to the group's; return the loss."""
        for kept, buffer in zip(self._kept, self._buffers, strict=True):
            kept.copy_(buffer)
        loss = self.objective(self.model, batch)
        # The mean over the processes is NaN everywhere when it is in one, so that all of them leave the batch out.
        value = float(self.accelerator.reduce(loss.detach(), "mean"))  # pyright: ignore[reportArgumentType]  # a tensor
        if math.isfinite(value) and not self._spoiled:
            self.accelerator.backward(loss * self._group_factor())
        return value

    def _group_factor(self) -> float:
        """Return by how much accumulation divides too far: an epoch's last group may have fewer batches."""
        most = self.accelerator.gradient_accumulation_steps
        batches = min(most, self.batches_per_epoch - self._position // most * most)
        return most / batches

    def _update(self, names: list[str]) -> None:
        """Step the optimiser with the gathered gradients, unless they are not finite."""
        progress = self.progress
        if self._spoiled:
            self._spoiled = False
            self.optimiser.zero_grad()
            return
        norm = self.accelerator.clip_grad_norm_(self.model.parameters(), self.clip_norm)
        if self.accelerator.scaler is None and norm is not None and not math.isfinite(float(norm)):
            self.optimiser.zero_grad()
            self._skip(f"The gradient's norm is {float(norm)}", names)
            self._spoiled = False
            return
        self.optimiser.step()  # with a scaler: left out where a gradient overflowed, and the scale halved
        self.optimiser.zero_grad()
        if self.accelerator.optimizer_step_was_skipped:
            progress.overflows += 1
            progress.overflows_in_a_row += 1
            if progress.overflows_in_a_row >= MOST_OVERFLOWS:
                raise LightDepthError(
                    f"The gradient overflowed fp16 in {MOST_OVERFLOWS} steps in a row, the last with {_some(names)}; "
                    "train with precision bf16 or fp32."
                )
            return
        self.schedule.step()
        progress.step += 1
        progress.skipped_in_a_row = progress.overflows_in_a_row = 0
        self.ema.update(network_of(self.accelerator.unwrap_model(self.model)), step=progress.step)

    def _skip(self, what: str, names: list[str]) -> None:
        """Leave the group out and undo what the forward pass did to the running statistics."""
        with torch.no_grad():
            for kept, buffer in zip(self._kept, self._buffers, strict=True):
                buffer.copy_(kept)
        self._spoiled = True
        progress = self.progress
        progress.skipped += 1
        progress.skipped_in_a_row += 1
        if progress.skipped_in_a_row >= MOST_SKIPPED:
            raise LightDepthError(
                f"{what} at step {progress.step} with {_some(names)}, not finite in {MOST_SKIPPED} batches in a row; "
                "start again with a lower learning_rate or precision fp32 (the checkpoints of the last whole epoch are "
                "kept)."
            )


def _some(names: list[str]) -> str:
    """Name the first files of a batch."""
    more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
    return ", ".join(names[:NAMES_SHOWN]) + more
