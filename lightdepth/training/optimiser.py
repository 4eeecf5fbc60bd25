"""AdamW with a smaller learning rate for the encoder, and the OneCycle schedule."""

import math

from torch import nn
from torch.optim import AdamW
from torch.optim.lr_scheduler import OneCycleLR

from ..config import TrainConfig
from ..network.model import LightDepth

__all__ = ["build_optimiser", "build_schedule"]


def build_optimiser(model: LightDepth, config: TrainConfig, extra: nn.Module | None = None) -> AdamW:
    """Group parameters by learning rate and by weight decay (none for biases and BatchNorm).

    A pretrained encoder learns at `encoder_lr_factor` of the rate; a random one at the full rate, as does `extra`, what
    is trained beside the network.
    """
    encoder_factor = config.encoder_lr_factor if config.start_from or config.encoder_weights != "none" else 1.0
    groups = []
    rest = nn.ModuleList([model.stages, model.head, *([extra] if extra else [])])
    for module, factor in ((model.encoder, encoder_factor), (rest, 1.0)):
        for decays in (True, False):
            parameters = [p for p in module.parameters() if (p.ndim > 1) == decays]
            groups.append(
                {
                    "params": parameters,
                    "lr": config.learning_rate * factor,
                    "weight_decay": config.weight_decay if decays else 0.0,
                }
            )
    # Fused: one operation for all tensors, and a step that is left out on the device without asking the host.
    return AdamW(groups, fused=True)


def build_schedule(optimiser: AdamW, config: TrainConfig, steps_per_epoch: int) -> OneCycleLR:
    """Rise to the learning rate over `warmup_share` of all steps, then fall along a cosine (Smith and Topin 2018)."""
    peaks = [group["lr"] for group in optimiser.param_groups]
    steps = max(2, config.epochs * steps_per_epoch)
    share = config.warmup_share
    if math.isclose(share * steps, 1):
        share = 0.0  # a rise of a single step has no length: OneCycleLR divides by it
    return OneCycleLR(optimiser, peaks, total_steps=steps, pct_start=share, div_factor=25, final_div_factor=100)
