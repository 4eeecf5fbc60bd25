import math

import numpy as np
import pytest
import torch

from lightdepth.training.losses import DepthLoss, gradient_matching, sigma_loss, silog


def sample(seed=0, shape=(2, 1, 32, 48)):
    generator = torch.Generator().manual_seed(seed)
    prediction = torch.rand(shape, generator=generator) * 4 + 0.5
    truth = torch.rand(shape, generator=generator) * 4 + 0.5
    truth[torch.rand(shape, generator=generator) < 0.3] = 0
    return prediction, truth


def reference_silog(prediction, truth, variance_focus):
    """sqrt(mean d^2 - lambda (mean d)^2) of each image, averaged."""
    values = []
    for p, g in zip(prediction.double().numpy(), truth.double().numpy(), strict=True):
        d = np.log(p[g > 0]) - np.log(g[g > 0])
        values.append(math.sqrt((d**2).mean() - variance_focus * d.mean() ** 2))
    return float(np.mean(values))


def reference_gradients(prediction, truth):
    """Sum over scales 1, 2, 4, 8 and both directions of the mean |difference of d| between valid neighbours."""
    total = 0.0
    for step in (1, 2, 4, 8):
        p = prediction.double().numpy()[:, 0, ::step, ::step]
        g = truth.double().numpy()[:, 0, ::step, ::step]
        with np.errstate(divide="ignore"):
            d = np.where(g > 0, np.log(p) - np.log(g), np.nan)
        for axis in (1, 2):
            total += float(np.nanmean(np.abs(np.diff(d, axis=axis))))
    return total


def reference_log_l1(prediction, truth):
    p, g = prediction.double().numpy(), truth.double().numpy()
    return float(np.abs(np.log(p[g > 0]) - np.log(g[g > 0])).mean())


def test_the_silog_loss_equals_its_formulas():
    prediction, truth = sample()
    expected = (
        reference_silog(prediction, truth, 0.7)
        + 0.3 * reference_gradients(prediction, truth)
        + 0.2 * reference_log_l1(prediction, truth)
    )
    loss = DepthLoss("silog", silog_lambda=0.7, gradient_weight=0.3, l1_weight=0.2)
    assert loss(prediction, truth).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("part", ["silog", "gradients", "log l1"])
def test_each_part_can_be_used_alone(part):
    prediction, truth = sample(1)
    valid = truth > 0
    difference = torch.where(valid, prediction.log() - truth.clamp_min(1e-3).log(), 0.0)
    if part == "silog":
        got, expected = silog(difference, valid, 0.85), reference_silog(prediction, truth, 0.85)
    elif part == "gradients":
        got, expected = gradient_matching(difference, valid), reference_gradients(prediction, truth)
    else:
        loss = DepthLoss("silog", gradient_weight=0, l1_weight=1)(prediction, truth)
        got, expected = loss - silog(difference, valid, 0.85), reference_log_l1(prediction, truth)
    assert got.item() == pytest.approx(expected, rel=1e-5)


def test_the_l1_loss_is_the_mean_error_in_metres_of_valid_pixels():
    prediction, truth = sample()
    expected = (prediction - truth).abs()[truth > 0].mean().item()
    assert DepthLoss("l1")(prediction, truth).item() == pytest.approx(expected, rel=1e-6)


def test_the_rmse_term_is_the_mean_over_images_of_their_rmse_in_metres():
    prediction, truth = sample()
    truth[1] = 0  # an image without valid pixels counts nothing
    expected = (prediction[0] - truth[0])[truth[0] > 0].square().mean().sqrt().item()
    silog_alone = DepthLoss(gradient_weight=0, l1_weight=0)(prediction, truth)
    with_rmse = DepthLoss(gradient_weight=0, l1_weight=0, rmse_weight=0.5)(prediction, truth)
    assert (with_rmse - silog_alone).item() == pytest.approx(0.5 * expected, rel=1e-5)


def test_silog_with_full_variance_focus_ignores_scale():
    _, truth = sample()
    loss = DepthLoss("silog", silog_lambda=1.0, gradient_weight=1.0, l1_weight=0.0)
    assert loss(truth.clamp_min(0.1) * 1.7, truth).item() == pytest.approx(0, abs=2e-4)


@pytest.mark.parametrize("kind", ["silog", "l1"])
def test_holes_get_no_gradient_whatever_stands_there(kind):
    prediction, truth = sample()
    hole = truth == 0
    truth[:, :, :2][hole[:, :, :2]] = math.nan
    prediction.requires_grad_()
    loss = DepthLoss(kind)(prediction, truth)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(prediction.grad).all()
    assert (prediction.grad[hole] == 0).all()
    assert (prediction.grad[~hole] != 0).any()


@pytest.mark.parametrize("kind", ["silog", "l1"])
def test_without_a_valid_pixel_loss_and_gradient_are_zero(kind):
    prediction = torch.rand(2, 1, 16, 16).requires_grad_()
    loss = DepthLoss(kind)(prediction, torch.zeros(2, 1, 16, 16))
    loss.backward()
    assert loss.item() == 0
    assert (prediction.grad == 0).all()


@pytest.mark.parametrize("kind", ["silog", "l1"])
def test_an_image_without_valid_pixels_leaves_the_others_loss(kind):
    prediction, truth = sample()
    truth[1] = 0
    loss = DepthLoss(kind)
    assert loss(prediction, truth).item() == pytest.approx(loss(prediction[:1], truth[:1]).item(), rel=1e-6)


@pytest.mark.parametrize("kind", ["silog", "l1"])
def test_a_perfect_prediction_has_a_finite_gradient(kind):
    _, truth = sample()
    prediction = truth.clone().requires_grad_()
    loss = DepthLoss(kind)(prediction, truth)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=2e-4)
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("kind", ["silog", "l1"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_loss_is_float32_inside_autocast(kind, dtype):
    prediction, truth = sample()
    prediction = prediction.to(dtype)
    expected = DepthLoss(kind)(prediction.float(), truth)
    with torch.autocast("cpu", torch.bfloat16):
        got = DepthLoss(kind)(prediction, truth)
    assert got.dtype == torch.float32
    assert got.item() == expected.item()


def test_sigma_is_best_where_it_is_the_mean_absolute_error_times_the_root_of_two():
    generator = torch.Generator().manual_seed(0)
    errors = torch.empty(1, 1, 50, 80).exponential_(1 / 0.2, generator=generator)  # a Laplace distribution of scale 0.2
    truth_m = 2 * torch.exp(errors * torch.where(torch.rand(errors.shape, generator=generator) < 0.5, -1, 1))
    prediction_m = torch.full_like(truth_m, 2.0)

    def value(sigma):
        return sigma_loss(torch.full_like(truth_m, sigma), prediction_m, truth_m).item()

    assert value(0.2 * math.sqrt(2)) < min(value(0.24), value(0.33))


def test_sigma_leaves_depth_alone_and_holes_out():
    prediction_m = torch.full((1, 1, 4, 4), 2.0, requires_grad=True)
    sigma = torch.full((1, 1, 4, 4), 0.1, requires_grad=True)
    truth_m = torch.zeros(1, 1, 4, 4)
    truth_m[..., :2] = 2.5
    sigma_loss(sigma, prediction_m, truth_m).backward()
    assert prediction_m.grad is None
    assert sigma.grad is not None
    assert (sigma.grad[..., :2] < 0).all()  # errors of 22 % ask for more than 10 %
    assert (sigma.grad[..., 2:] == 0).all()
