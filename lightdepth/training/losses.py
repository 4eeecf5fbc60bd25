"""Training losses, always in float32: log and sqrt of half precision give NaN."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["DepthLoss", "gradient_matching", "sigma_loss", "silog"]

GRADIENT_SCALES = 4
SMALLEST_DEPTH_M = 1e-3  # the evaluation protocols' lower end; keeps log finite
SMALLEST_VARIANCE = 1e-8  # keeps sqrt differentiable at a perfect prediction


@dataclass(frozen=True)
class DepthLoss:
    """Weighted sum of the losses of depth against truth.

    `silog` + `gradient_weight` * gradient matching + `l1_weight` * mean |ln p - ln g| + `rmse_weight` * RMSE in metres,
    or mean |p - g| in metres alone for "l1" (the original report's). Where the network is unsure, the logarithmic terms
    draw it to the median of what it may be and RMSE to the mean, which is farther.
    """

    kind: str = "silog"
    silog_lambda: float = 0.85
    gradient_weight: float = 0.25
    l1_weight: float = 0.1
    rmse_weight: float = 0.0

    def __call__(self, prediction_m: Tensor, truth_m: Tensor) -> Tensor:
        """Compare (B, 1, H, W) metres with truth of the same shape, 0 where there is no reading; returns a scalar.

        Without a single valid pixel the loss is 0 with a zero gradient.
        """
        with torch.autocast(prediction_m.device.type, enabled=False):
            prediction_m, truth_m = prediction_m.float(), truth_m.float()
            valid = truth_m > 0
            if self.kind == "l1":
                return masked_mean(torch.where(valid, prediction_m - truth_m, 0.0).abs(), valid)
            log_prediction = prediction_m.clamp_min(SMALLEST_DEPTH_M).log()
            log_truth = truth_m.clamp_min(SMALLEST_DEPTH_M).log()
            difference = torch.where(valid, log_prediction - log_truth, 0.0)  # (B, 1, H, W)
            return (
                silog(difference, valid, self.silog_lambda)
                + self.gradient_weight * gradient_matching(difference, valid)
                + self.l1_weight * masked_mean(difference.abs(), valid)
                + self.rmse_weight * rmse(torch.where(valid, prediction_m - truth_m, 0.0), valid)
            )


def sigma_loss(sigma: Tensor, prediction_m: Tensor, truth_m: Tensor) -> Tensor:
    """Return the mean of -ln of the likelihood that a Laplace distribution gives to the errors of log depth.

    |ln p - ln g| / b + ln b with b = sigma / sqrt(2), sigma being the standard deviation (Kendall and Gal 2017, their
    form for Laplace). The depth is taken as it is: no gradient goes to it from here.

    Args:
        sigma: positive, (B, 1, H, W).
        prediction_m: depth in metres, the same shape.
        truth_m: the same, 0 where there is no reading.
    """
    with torch.autocast(sigma.device.type, enabled=False):
        valid = truth_m > 0
        prediction_m = prediction_m.detach().float().clamp_min(SMALLEST_DEPTH_M)
        error = (prediction_m.log() - truth_m.float().clamp_min(SMALLEST_DEPTH_M).log()).abs()
        scale = sigma.float() / math.sqrt(2)
        return masked_mean(torch.where(valid, error, 0.0) / scale + scale.log(), valid)


def masked_mean(values: Tensor, valid: Tensor) -> Tensor:
    """Average over the valid pixels of the whole batch; 0 where there are none."""
    return (values * valid).sum() / valid.sum().clamp_min(1)


def silog(log_difference: Tensor, valid: Tensor, variance_focus: float) -> Tensor:
    """Return the mean over images of sqrt(mean d^2 - variance_focus (mean d)^2), d = ln p - ln g.

    Eigen et al. 2014, in the form of BTS (Lee et al. 2019). Written as variance + (1 - variance_focus) mean^2, which
    can't be negative. An image without valid pixels counts nothing.
    """
    count = valid.sum(dim=(1, 2, 3))  # (B,)
    safe = count.clamp_min(1)
    mean = (log_difference * valid).sum(dim=(1, 2, 3)) / safe
    variance = ((log_difference - mean[:, None, None, None]).square() * valid).sum(dim=(1, 2, 3)) / safe
    per_image = (variance + (1 - variance_focus) * mean.square() + SMALLEST_VARIANCE).sqrt()
    return (per_image * (count > 0)).sum() / (count > 0).sum().clamp_min(1)


def rmse(difference_m: Tensor, valid: Tensor) -> Tensor:
    """Return the mean over images of sqrt(mean (p - g)^2) in metres, as evaluation averages it."""
    count = valid.sum(dim=(1, 2, 3))  # (B,)
    square = (difference_m.square() * valid).sum(dim=(1, 2, 3)) / count.clamp_min(1)
    return ((square + SMALLEST_VARIANCE).sqrt() * (count > 0)).sum() / (count > 0).sum().clamp_min(1)


def gradient_matching(log_difference: Tensor, valid: Tensor) -> Tensor:
    """Return the mean |gradient of d| where both neighbours are valid, summed over directions and four scales.

    MegaDepth (Li and Snavely 2018).
    """
    total = log_difference.new_zeros(())
    for level in range(GRADIENT_SCALES):
        step = 2**level
        d, v = log_difference[..., ::step, ::step], valid[..., ::step, ::step]
        total = total + masked_mean((d[..., 1:] - d[..., :-1]).abs(), v[..., 1:] & v[..., :-1])
        total = total + masked_mean((d[..., 1:, :] - d[..., :-1, :]).abs(), v[..., 1:, :] & v[..., :-1, :])
    return total
