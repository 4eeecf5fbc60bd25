import math

import pytest
import torch
from accelerate import Accelerator
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from lightdepth.data.sample import Sample
from lightdepth.training import stepper as stepper_module
from lightdepth.training.average import WeightAverage
from lightdepth.training.stepper import Progress, Stepper
from lightdepth_runtime.errors import LightDepthError


@pytest.mark.parametrize(("batches", "groups"), [(4, [3, 1]), (6, [3, 3]), (2, [2])])
def test_each_group_of_accumulated_batches_weighs_alike_though_the_last_is_smaller(monkeypatch, batches, groups):
    gradients = []
    original = Stepper._update

    def update(self):
        gradients.append(float(self.model.weight.grad))
        return original(self)

    monkeypatch.setattr(Stepper, "_update", update)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=3, step_scheduler_with_optimizer=False)
    nothing = torch.zeros(1)
    samples = [Sample(nothing, nothing, None, None, ["a"])] * batches
    optimiser = torch.optim.SGD((model := nn.Linear(1, 1, bias=False)).parameters(), lr=0.1, fused=True)
    loader = DataLoader(samples, batch_size=1, collate_fn=lambda items: items[0])
    model, prepared, loader = accelerator.prepare(model, optimiser, loader)
    schedule = LambdaLR(optimiser, lambda _: 1.0)
    stepper = Stepper(
        accelerator,
        model,
        lambda model, _: model(torch.ones(1, 1)).sum(),  # whose gradient is 1
        prepared,
        schedule,
        WeightAverage(model, 0.999),
        Progress(),
        clip_norm=100.0,
        batches_per_epoch=batches,
    )
    for _ in range(2):  # epochs
        for batch in loader:
            stepper(batch)
    assert gradients == pytest.approx([1.0] * 2 * len(groups))


class Odd(nn.Module):
    """A network with BatchNorm whose loss is what the batch says times its output."""

    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(2)
        self.last = nn.Linear(2, 1)

    def forward(self, x):
        return self.last(self.norm(x))


def trained(losses, most_unread, *, accumulate=1):
    """Train one epoch of a tiny network, each batch's loss multiplied by a factor; return stepper, network, average."""
    torch.manual_seed(0)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=accumulate, step_scheduler_with_optimizer=False)
    model = Odd()
    factors = torch.tensor(losses)
    samples = [Sample(torch.randn(4, 2), f, None, None, [f"image {i}"]) for i, f in enumerate(factors)]
    optimiser = torch.optim.AdamW(model.parameters(), lr=0.1, fused=True)
    loader = DataLoader(samples, batch_size=1, collate_fn=lambda items: items[0])
    loader = accelerator.prepare(loader)
    schedule = LambdaLR(optimiser, lambda _: 1.0)
    model, prepared = accelerator.prepare(model, optimiser)
    average = WeightAverage(model, 0.9)

    def objective(model, batch):
        return (model(batch.image) * batch.depth_m).square().mean()

    stepper = Stepper(accelerator, model, objective, prepared, schedule, average, Progress(), 100.0, len(samples))
    stepper._most_unread = most_unread
    for batch in loader:
        stepper(batch)
    stepper.read()
    return stepper, {**model.state_dict(), **average.state_dict(), **_moments(optimiser)}


def _moments(optimiser):
    return {f"{i} {key}": value for i, state in enumerate(optimiser.state.values()) for key, value in state.items()}


@pytest.mark.parametrize("most_unread", [1, 25])
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_batch_that_is_not_finite_changes_no_bit_of_weights_statistics_moments_or_average(bad, most_unread):
    stepper, state = trained([1.0, 2.0, 0.5, bad], most_unread)
    _, before = trained([1.0, 2.0, 0.5], 1)
    assert state.keys() == before.keys()
    for key, value in before.items():
        assert torch.equal(state[key], value), key
    assert (stepper.progress.skipped, stepper.progress.step) == (1, 3)
    assert len(stepper.losses) == 3


def test_a_bad_batch_costs_its_whole_group_and_no_other():
    stepper, state = trained([1.0, 2.0, math.nan, 0.5], 25, accumulate=2)
    _, before = trained([1.0, 2.0], 1, accumulate=2)
    statistics = ("norm.running", "norm.num")  # the group's good batch moved them
    for key, value in before.items():
        assert key.startswith(statistics) or torch.equal(state[key], value), key
    assert stepper.progress.step == 1


def test_outcomes_that_are_read_late_name_the_batches_they_belong_to():
    with pytest.raises(LightDepthError, match="at step 2 with image 6, not finite in 5 batches in a row"):
        trained([1.0, 1.0] + [math.nan] * 6, 8)


def linear_stepper(batches):
    """A stepper whose loss is a tiny network's output for a one."""
    accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
    optimiser = torch.optim.SGD((model := nn.Linear(1, 1)).parameters(), lr=0.1, fused=True)
    model, prepared = accelerator.prepare(model, optimiser)
    return Stepper(
        accelerator,
        model,
        lambda model, _: model(torch.ones(1, 1)).sum(),
        prepared,
        LambdaLR(optimiser, lambda _: 1.0),
        WeightAverage(model, 0.999),
        Progress(),
        clip_norm=100.0,
        batches_per_epoch=batches,
    )


def test_pairs_left_out_are_counted_over_all_processes(monkeypatch):
    """Another process left out one pair that this one did too, and one of its own."""
    stepper = linear_stepper(1)
    monkeypatch.setattr(Accelerator, "num_processes", 2)
    monkeypatch.setattr(stepper_module, "gather_object", lambda own: [*own, {"a", "b"}])
    batch = Sample(torch.zeros(1), torch.zeros(1), None, None, ["c"], ["a"])
    assert stepper.train_epoch([batch], "Epoch 1/1").left_out == 2


def test_the_loss_is_shown_once_it_is_read(monkeypatch):
    """Where outcomes are read late, as on a GPU, the first ones are not 0."""
    shown = []

    def track(batches, _label, _total, *, status):
        for batch in batches:
            yield batch
            shown.append(status())

    monkeypatch.setattr(stepper_module, "track", track)
    stepper = linear_stepper(3)
    stepper._most_unread = 2
    stepper.train_epoch([Sample(torch.zeros(1), torch.zeros(1), None, None, ["a"])] * 3, "Epoch 1/1")
    assert ["loss" in words for words in shown] == [False, True, True]
