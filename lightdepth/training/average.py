"""The moving average of the weights, updated on the device by a few grouped operations, and what is kept of it."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

__all__ = ["WeightAverage"]

# A short average at first, a longer one as training goes on (timm's ModelEmaV3, after Katherine Crowson).
WARMUP_POWER = 2 / 3


class WeightAverage(nn.Module):
    """A copy of a network whose tensors follow those of the trained one.

    Of the newest weights it takes 1 - `decay`, and at first more: the s-th step after the first weighs at least
    (1 + s) ** (-2/3). The count of steps stays on the device, so that a step that was left out costs no wait for it.

    With `start_share` it holds the first weights too, of which `kept` takes that share (WiSE-FT, Wortsman et al. 2022).
    """

    steps: Tensor

    def __init__(self, network: nn.Module, decay: float, start_share: float = 0.0) -> None:
        super().__init__()
        self.module = copy.deepcopy(network).eval()
        self.start = copy.deepcopy(self.module) if start_share else None
        self.start_share = start_share
        self.decay = decay
        self.register_buffer("steps", torch.zeros(()))

    @torch.no_grad()
    def update(self, network: nn.Module, taken: Tensor) -> None:
        """Follow the network; `taken` is a scalar 1.0, or 0.0 where the step was left out, which changes nothing."""
        own, its = _values(self.module), _values(network)
        weight = (1 + self.steps).pow(-WARMUP_POWER).clamp_min(1 - self.decay) * taken
        self.steps += taken
        for is_float in (True, False):  # counts of batches are taken as they are
            pairs = [pair for pair in zip(own, its, strict=True) if pair[0].is_floating_point() == is_float]
            if not pairs:
                continue
            kept = [pair[0] for pair in pairs]
            change = torch._foreach_sub([pair[1] for pair in pairs], kept)  # pyright: ignore[reportPrivateImportUsage]
            torch._foreach_mul_(change, weight if is_float else taken.long())  # pyright: ignore[reportPrivateImportUsage]
            torch._foreach_add_(kept, change)  # pyright: ignore[reportPrivateImportUsage]

    @torch.no_grad()
    def kept(self) -> nn.Module:
        """Return the network that is validated and saved: the average, or its mean with the first weights."""
        if self.start is None:
            return self.module
        mean = copy.deepcopy(self.module)
        for own, first in zip(_values(mean), _values(self.start), strict=True):
            if own.is_floating_point():
                own.lerp_(first, self.start_share)
        return mean


def _values(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
