from itertools import pairwise

import pytest
import torch

from lightdepth.checkpoints.checkpoint import build_model
from lightdepth.config import load_config
from lightdepth.training.optimiser import build_optimiser, build_schedule

TINY = ["encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]"]


@pytest.fixture(scope="module")
def model():
    return build_model(load_config(None, TINY))


def rates(config, steps_per_epoch, optimiser=None):
    optimiser = optimiser or torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))], lr=config.learning_rate)
    schedule = build_schedule(optimiser, config, steps_per_epoch)
    seen = []
    for _ in range(config.epochs * steps_per_epoch):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    return seen


def test_every_parameter_is_in_one_group_and_only_matrices_decay(model):
    optimiser = build_optimiser(model, load_config(None, [*TINY, "weight_decay=0.05"]))
    listed = [id(p) for group in optimiser.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())
    for group in optimiser.param_groups:
        assert group["params"]
        for parameter in group["params"]:
            assert group["weight_decay"] == (0.05 if parameter.ndim > 1 else 0.0)


def test_a_pretrained_encoder_learns_slower_and_a_random_one_does_not(model):
    for weights, factor in (("imagenet", 0.5), ("weights.pth", 0.5), ("none", 1.0)):
        overrides = [*TINY, "learning_rate=0.1", "encoder_lr_factor=0.5", f"encoder_weights={weights}"]
        optimiser = build_optimiser(model, load_config(None, overrides))
        encoder = {id(p) for p in model.encoder.parameters()}
        for group in optimiser.param_groups:
            inside = id(group["params"][0]) in encoder
            assert group["lr"] == pytest.approx(0.1 * factor if inside else 0.1)


def test_the_rate_rises_over_the_warmup_then_falls_to_almost_nothing():
    config = load_config(None, ["learning_rate=0.1", "epochs=10", "warmup_share=0.2"])
    seen = rates(config, 10)
    peak = seen.index(max(seen))
    assert max(seen) == pytest.approx(0.1)
    assert peak in (19, 20)
    assert seen[0] == pytest.approx(0.1 / 25)
    assert seen[-1] == pytest.approx(0.1 / 2500, rel=0.01)
    assert all(a < b for a, b in pairwise(seen[: peak + 1]))
    assert all(a > b for a, b in pairwise(seen[peak:]))


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("steps", [1, 2, 3, 9, 10, 11, 20])
def test_runs_of_any_length_have_positive_rates_up_to_the_peak(steps, share):
    seen = rates(load_config(None, ["learning_rate=0.1", "epochs=1", f"warmup_share={share}"]), steps)
    assert len(seen) == steps
    assert all(0 < rate <= 0.1 + 1e-9 for rate in seen)
