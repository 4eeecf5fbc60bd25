"""The network: a timm encoder and a bilinear U-Net decoder that ends in positive metres."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lightdepth_runtime.spec import check_input_size

from .encoder import build_encoder

__all__ = ["DEFAULT_DECODER_CHANNELS", "LightDepth", "Output", "freeze_statistics", "keep_inputs"]

DEFAULT_DECODER_CHANNELS = (256, 128, 64, 32)
# The output of a fresh network: near the median of NYU Depth V2, so that training starts close.
TYPICAL_INDOOR_DEPTH_M = 2.5
# Sigma of a fresh network, and how far it may go from there: within e^-4..e^4 of it, 0.4 % to 1100 %.
TYPICAL_SIGMA = 0.2
LOG_SIGMA_LIMIT = 4.0
LOG_DEPTH_LIMIT = 4.0  # exp output within e^-4..e^4 of the typical depth, 0.05..136 m: no overflow in any precision

Output = Literal["exp", "softplus", "relu"]


class LightDepth(nn.Module):
    """Predict metric depth: normalised RGB (B, 3, H, W) -> metres (B, 1, H, W), H and W divisible by 32.

    With `encoder="resnet18"` and default channels it has exactly 14,330,369 parameters.

    Args:
        encoder: any timm encoder with five feature scales at 1/2 .. 1/32.
        encoder_weights: "imagenet" (downloaded by timm), "none", or the path of a .safetensors or .pth state dict.
        decoder_channels: of the four stages at 1/16, 1/8, 1/4, 1/2.
        output: "exp" predicts log depth; "softplus" metres; "relu" is the original report's, which can die at zero.
        confidence: predict sigma too, the standard deviation of log depth: one more 1x1 convolution in the head.
        encoder_weights_partial: the file of `encoder_weights` may lack tensors, see `encoder.build_encoder`.
    """

    def __init__(
        self,
        encoder: str = "resnet18",
        encoder_weights: str = "none",
        *,
        decoder_channels: Sequence[int] = DEFAULT_DECODER_CHANNELS,
        output: Output = "exp",
        confidence: bool = False,
        encoder_weights_partial: bool = False,
    ) -> None:
        super().__init__()
        self.encoder, encoder_channels, self.encoder_lacks = build_encoder(
            encoder, encoder_weights, partial=encoder_weights_partial
        )
        deepest, *skips = reversed(encoder_channels)  # skips at 1/16, 1/8, 1/4, 1/2
        self.stages = nn.ModuleList()
        for skip, width in zip(skips, decoder_channels, strict=True):
            self.stages.append(DecoderStage(deepest, skip, width))
            deepest = width
        self.head = DepthHead(deepest, output, confidence=confidence)

    def forward(self, image: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict metres (B, 1, H, W); with `confidence` metres and sigma, of the same shape.

        Raises:
            LightDepthError: height or width not divisible by 32.
        """
        check_input_size(*image.shape[-2:])
        return self.decode(self.encoder(image))

    def decode(self, features: Sequence[Tensor]) -> Tensor | tuple[Tensor, Tensor]:
        """Turn the encoder's five maps, 1/2 .. 1/32 of (H, W), into what `forward` returns."""
        *skips, x = features
        for stage, skip in zip(self.stages, reversed(skips), strict=True):
            x = stage(x, skip)
        return self.head(x)  # (B, C, H/2, W/2) -> (B, 1, H, W)


def freeze_statistics(model: nn.Module) -> None:
    """Keep BatchNorm's running statistics as they are while the rest trains; `model.train()` ends it."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def keep_inputs(model: nn.Module) -> None:
    """Have activations write to new maps where autograd would copy what they overwrite, which takes longer.

    The gradients of ReLU6, Swish and others need the input. ReLU's needs the output alone, so it goes on in place.
    """
    for module in model.modules():
        if getattr(module, "inplace", False) and not isinstance(module, nn.ReLU):
            module.inplace = False  # pyright: ignore[reportArgumentType]  # a flag is no Module


class DecoderStage(nn.Module):
    """Upsample by two, concatenate the encoder's map of that scale, and convolve twice."""

    def __init__(self, channels: int, skip_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolutions = nn.Sequential(
            *_convolution(channels + skip_channels, out_channels),
            *_convolution(out_channels, out_channels),
        )

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Merge (B, C, h, w) with (B, S, 2h, 2w) into (B, O, 2h, 2w)."""
        # Autocast interpolates in float32. Left so, the joined map is twice as large, and the convolution rounds it.
        x = _double(x).to(skip.dtype)  # (B, C, h, w) -> (B, C, 2h, 2w)
        return self.convolutions(torch.cat([x, skip], dim=1))  # (B, C + S, 2h, 2w) -> (B, O, 2h, 2w)


class DepthHead(nn.Module):
    """Turn the finest features into positive metres at twice their size, and with `confidence` into sigma beside."""

    def __init__(self, channels: int, output: Output, *, confidence: bool = False) -> None:
        super().__init__()
        self.output = output
        self.features = nn.Conv2d(channels, channels, kernel_size=3, padding=1)
        self.to_depth = nn.Conv2d(channels, 1, kernel_size=1)
        self.to_sigma = nn.Conv2d(channels, 1, kernel_size=1) if confidence else None
        if output != "exp":
            nn.init.constant_(self._bias(), TYPICAL_INDOOR_DEPTH_M)

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Predict (B, 1, 2h, 2w) metres, and sigma, from (B, C, h, w) features."""
        features = F.relu(self.features(x))
        # (B, C, h, w) -> (B, 1, h, w); float32 also under autocast: bfloat16 depth would step by 0.4 %
        x = self.to_depth(features).float()
        if self.output == "exp":
            x = TYPICAL_INDOOR_DEPTH_M * torch.exp(x.clamp(-LOG_DEPTH_LIMIT, LOG_DEPTH_LIMIT))
        elif self.output == "softplus":
            x = F.softplus(x)
        else:
            x = F.relu(x)
        depth_m = _double(x)  # (B, 1, h, w) -> (B, 1, 2h, 2w)
        if self.to_sigma is None:
            return depth_m
        log_sigma = self.to_sigma(features).float().clamp(-LOG_SIGMA_LIMIT, LOG_SIGMA_LIMIT)
        return depth_m, _double(TYPICAL_SIGMA * torch.exp(log_sigma))  # (B, 1, h, w) -> (B, 1, 2h, 2w)

    @torch.no_grad()
    def scale_depth(self, factor: float) -> None:
        """Multiply the depth that is predicted; of softplus that holds where depth is not near zero."""
        if self.output == "exp":
            self._bias().add_(math.log(factor))
        else:
            for parameter in self.to_depth.parameters():
                parameter.mul_(factor)

    def _bias(self) -> Tensor:
        bias = self.to_depth.bias
        assert bias is not None, "the head's last convolution has a bias"
        return bias


def _double(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def _convolution(in_channels: int, out_channels: int) -> tuple[nn.Module, ...]:
    """3x3 convolution without bias, BatchNorm, ReLU."""
    return (
        nn.Conv2d(in_channels, out_channels, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )
