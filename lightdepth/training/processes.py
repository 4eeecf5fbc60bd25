"""Several training processes: that they are really there, and that together they train as one would."""

from __future__ import annotations

import os
from typing import Any, cast

import torch
import torch.distributed
from accelerate import Accelerator
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import Tensor, nn
from torch.nn import functional

from lightdepth_runtime.errors import LightDepthError

from ..config import TrainConfig

__all__ = ["check_processes", "describe_batch", "share_batch_norm"]


def check_processes(accelerator: Accelerator) -> None:
    """Refuse a launch in which each process would train alone and write into the same folder.

    Raises:
        LightDepthError: the launcher started more processes than train together.
    """
    started = int(os.environ.get("WORLD_SIZE") or 1)
    if started == accelerator.num_processes:
        return
    fix = "unset WORLD_SIZE" if started < accelerator.num_processes else "set ACCELERATE_USE_CPU=true for CPUs"
    raise LightDepthError(
        f"WORLD_SIZE says {started} processes but {accelerator.num_processes} would train together, so each would "
        f"train alone into the same folder; {fix}, or start `lightdepth train` without a launcher."
    )


def describe_batch(config: TrainConfig, processes: int) -> str:
    """Say how many images an optimiser step sees, and at which learning rate."""
    effective = config.batch_size * processes * config.accumulate
    return (
        f"effective batch {effective} (batch_size {config.batch_size} x {processes} "
        f"process{'es' if processes > 1 else ''} x accumulate {config.accumulate}), "
        f"learning rate {config.learning_rate:g}"
    )


def share_batch_norm(network: nn.Module, accelerator: Accelerator) -> nn.Module:
    """Let BatchNorm take its statistics over the batches of all processes, as one process with all of them would.

    Changes the network; its parameters keep their names. PyTorch's own SyncBatchNorm needs GPUs; on CPUs a slower
    one takes its place, so that a test there shows what GPUs do.
    """
    if accelerator.num_processes == 1:
        return network
    if accelerator.device.type != "cpu":
        return convert_sync_batchnorm(network)
    for module in network.modules():
        if type(module) in (nn.BatchNorm2d, BatchNormAct2d):
            shared = _SharedBatchNorm if type(module) is nn.BatchNorm2d else _SharedBatchNormAct
            module.__class__ = shared  # pyright: ignore[reportAttributeAccessIssue]  # same attributes, other forward
    return network


class _SharedBatchNorm(nn.BatchNorm2d):
    """BatchNorm over all processes, by two differentiable sums."""

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (B, C, H, W); in training with the statistics of all processes."""
        return _normalise(self, input)


class _SharedBatchNormAct(BatchNormAct2d):
    """The same for timm's BatchNorm with an activation."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise and activate (B, C, H, W)."""
        normalised = _normalise(cast(nn.BatchNorm2d, self), x)
        return cast(nn.Module, self.act)(cast(nn.Module, self.drop)(normalised))


def _normalise(norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    mean, variance = norm.running_mean, norm.running_var
    if not norm.training or mean is None or variance is None:
        return functional.batch_norm(x, mean, variance, norm.weight, norm.bias, not norm.training, 0.0, norm.eps)
    values = x.float()
    ones = values.new_full((1,), values.numel() / values.shape[1])
    sums = torch.cat([values.sum((0, 2, 3)), ones])  # (C + 1,)
    sums = cast(Tensor, _Sum.apply(sums))
    count = sums[-1].detach()
    batch_mean = sums[:-1] / count  # (C,)
    centred = values - batch_mean[None, :, None, None]
    # Centred before it is squared: E[x^2] - E[x]^2 loses its digits where the mean is large.
    batch_variance = cast(Tensor, _Sum.apply(centred.square().sum((0, 2, 3)))) / count
    with torch.no_grad():
        momentum = 0.1 if norm.momentum is None else norm.momentum
        mean.lerp_(batch_mean.detach(), momentum)
        variance.lerp_(batch_variance.detach() * (count / (count - 1)), momentum)
        if norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
    scale = norm.weight * torch.rsqrt(batch_variance + norm.eps)
    return (centred * scale[None, :, None, None] + norm.bias[None, :, None, None]).to(x.dtype)


class _Sum(torch.autograd.Function):
    """The sum over all processes; so is its gradient, since each process's loss depends on it."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:  # noqa: ARG004  # Any: autograd's context, not needed
        total = values.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ARG004  # Any: the same
        total = gradients[0].clone()
        torch.distributed.all_reduce(total)
        return total
