"""Count a network's arithmetic without running it."""

import copy

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

__all__ = ["count_gmacs"]

FLOPS_PER_MAC = 2


def count_gmacs(network: nn.Module, height: int, width: int) -> float:
    """Count the multiply-accumulates of one image of `height` x `width`, in 1e9.

    Counts convolutions and matrix products (attention included), as `torch.utils.flop_counter` does; element-wise
    operations and resizing are left out. A copy on the meta device is traced, so nothing is computed or changed.
    """
    traced = copy.deepcopy(network).to("meta").eval()
    image = torch.empty(1, 3, height, width, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        traced(image)
    return counter.get_total_flops() / FLOPS_PER_MAC / 1e9
