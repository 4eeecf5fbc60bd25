"""Several training processes: that they are really there, and that together they train as one would."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from accelerate.utils import DataLoaderConfiguration, parse_flag_from_env
from timm.layers.norm_act import convert_sync_batchnorm
from torch import nn

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.processes import launcher_number

from ..config import TrainConfig
from .inputs import Say

__all__ = ["describe_batch", "share_batch_norm", "start_processes"]


def start_processes(config: TrainConfig, precision: str) -> Accelerator:
    """Join the processes that the launcher started, or train alone.

    Raises:
        LightDepthError: the launcher started more processes than train together, which would each write into the same
            folder, or more than this machine has GPUs.
    """
    here, gpus = launcher_number("LOCAL_WORLD_SIZE"), torch.cuda.device_count()
    if here > gpus > 0 and not parse_flag_from_env("ACCELERATE_USE_CPU"):
        raise LightDepthError(
            f"{here} processes were started on this machine, and it has {gpus} GPU{'s' * (gpus > 1)}, one for each; "
            f"start {gpus} (torchrun --nproc_per_node {gpus}), or train on the CPU with ACCELERATE_USE_CPU=true."
        )
    AcceleratorState._reset_state()  # else a second training in this process can't choose another precision
    accelerator = Accelerator(
        mixed_precision={"fp32": "no"}.get(precision, precision),
        gradient_accumulation_steps=config.accumulate,
        step_scheduler_with_optimizer=False,
        # Else each copy of a batch waits until the device has done all that was asked of it before.
        dataloader_config=DataLoaderConfiguration(non_blocking=True),
    )
    started, together = launcher_number("WORLD_SIZE"), accelerator.num_processes
    if started != together:
        fix = "unset WORLD_SIZE" if started < together else "set ACCELERATE_USE_CPU=true for CPUs"
        raise LightDepthError(
            f"WORLD_SIZE says {started} processes but {together} would train together, so each would train alone into "
            f"the same folder; {fix}, or start `lightdepth train` without a launcher."
        )
    return accelerator


def describe_batch(config: TrainConfig, processes: int) -> str:
    """Say how many images an optimiser step sees, and at which learning rate."""
    effective = config.batch_size * processes * config.accumulate
    return (
        f"effective batch {effective} (batch_size {config.batch_size} x {processes} "
        f"process{'es' if processes > 1 else ''} x accumulate {config.accumulate}), "
        f"learning rate {config.learning_rate:g}"
    )


def share_batch_norm(network: nn.Module, accelerator: Accelerator, say: Say) -> None:
    """Let BatchNorm take its statistics over the batches of all processes, as one process with all of them would.

    Changes the network; its parameters keep their names. PyTorch's SyncBatchNorm needs GPUs: on CPUs nothing is
    changed, and that is said.
    """
    if accelerator.num_processes == 1:
        return
    if accelerator.device.type == "cpu":
        say("sync_batchnorm needs GPUs: on CPUs each process takes BatchNorm's statistics over its own batch.")
    else:
        convert_sync_batchnorm(network)
