"""What a batch is trained for: the truth alone, or the truth and a teacher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..data.sample import Sample
from ..network.model import LightDepth
from .losses import SMALLEST_DEPTH_M, DepthLoss, sigma_loss

__all__ = ["FeatureStudent", "Objective", "network_of", "trusted"]

DROPPED_SHARE = 0.1  # of a teacher's pixels: those that fit worst (Depth Anything V2, Yang et al. 2024)


@dataclass(frozen=True)
class Objective:
    """The loss against measured depth where there is some, and against a teacher's elsewhere, where there is one.

    `teacher_weight` times the loss against the teacher's depth alone comes on top: it says what the truth can't, depth
    without holes, steps and noise. The tenth of the teacher's pixels that the student disagrees with most is left out
    of both. With `features` (the teacher's encoder) the model is a `FeatureStudent`, and `feature_weight` times the
    mismatch of features is added. Sigma, where the network predicts it, is held to the measured depth alone, with
    `sigma_weight`.
    """

    loss: DepthLoss
    sigma_weight: float = 0.0
    teacher_weight: float = 0.0
    feature_weight: float = 0.0
    features: Callable[[Tensor], Sequence[Tensor]] | None = None

    def __call__(self, model: nn.Module, batch: Sample) -> Tensor:
        """Run the network, and the teacher's encoder where there is one, and compare."""
        image, mismatch = _channels_last(batch.image), None
        if self.features is None:
            output = model(image)
        else:
            assert batch.teacher_image is not None, "the teacher's view of the image, where features are matched"
            with torch.no_grad():
                features = self.features(_channels_last(batch.teacher_image))
            output, mismatch = model(image, features)
        prediction_m, sigma = output if isinstance(output, tuple) else (output, None)
        if batch.teacher_m is None:
            loss = self.loss(prediction_m, batch.depth_m)
        else:
            teacher_m = batch.teacher_m * trusted(prediction_m.detach(), batch.teacher_m)
            loss = self.loss(prediction_m, torch.where(batch.depth_m > 0, batch.depth_m, teacher_m))
            if self.teacher_weight:
                loss = loss + self.teacher_weight * self.loss(prediction_m, teacher_m)
        if sigma is not None:
            loss = loss + self.sigma_weight * sigma_loss(sigma, prediction_m, batch.depth_m)
        return loss if mismatch is None else loss + self.feature_weight * mismatch


def trusted(prediction_m: Tensor, teacher_m: Tensor) -> Tensor:
    """Return the mask (B, 1, H, W) of each image's valid teacher pixels without the tenth of the largest log error."""
    error = (prediction_m.float().clamp_min(SMALLEST_DEPTH_M) / teacher_m.clamp_min(SMALLEST_DEPTH_M)).log().abs()
    valid = teacher_m > 0
    ordered = torch.where(valid, error, torch.inf).flatten(1).sort(dim=1).values  # (B, HW), what is invalid at the end
    last = (valid.flatten(1).sum(dim=1) * (1 - DROPPED_SHARE)).long().sub(1).clamp_min(0)
    limit = ordered.gather(1, last[:, None])  # (B, 1)
    return valid & (error <= limit[:, :, None, None])


class FeatureStudent(nn.Module):
    """A network with one 1x1 convolution a scale that predicts the teacher's features from its own.

    Matching features through a learned map: FitNets (Romero et al. 2015). The maps are thrown away after training.
    """

    def __init__(self, network: LightDepth, channels: Sequence[int], teacher_channels: Sequence[int]) -> None:
        super().__init__()
        self.network = network
        self.maps = nn.ModuleList(nn.Conv2d(own, its, 1) for own, its in zip(channels, teacher_channels, strict=True))

    def forward(
        self, image: Tensor, teacher_features: Sequence[Tensor]
    ) -> tuple[Tensor | tuple[Tensor, Tensor], Tensor]:
        """Return the network's output and the mean over scales of the unexplained share of the features' variance."""
        features = self.network.encoder(image)
        shares = [
            unexplained(to_teacher(own), its)
            for to_teacher, own, its in zip(self.maps, features, teacher_features, strict=True)
        ]
        return self.network.decode(features), torch.stack(shares).mean()


def unexplained(prediction: Tensor, target: Tensor) -> Tensor:
    """Return the mean squared error of (B, C, h, w) against a target that is brought to zero mean and unit variance.

    The target may be larger; it is averaged to the prediction's size.
    """
    with torch.autocast(prediction.device.type, enabled=False):
        target = F.adaptive_avg_pool2d(target.float(), (prediction.shape[-2], prediction.shape[-1]))
        deviation, mean = torch.std_mean(target, dim=(0, 2, 3), keepdim=True)
        return F.mse_loss(prediction.float(), (target - mean) / (deviation + 1e-5))


def network_of(model: nn.Module) -> nn.Module:
    """Return the depth network of what is trained."""
    return model.network if isinstance(model, FeatureStudent) else model


def _channels_last(image: Tensor) -> Tensor:
    return image.contiguous(memory_format=torch.channels_last)
