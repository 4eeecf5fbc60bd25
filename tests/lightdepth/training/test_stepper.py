import pytest
import torch
from accelerate import Accelerator
from timm.utils.model_ema import ModelEmaV3
from torch import nn
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader

from lightdepth.data.sample import Sample
from lightdepth.training.stepper import Progress, Stepper


@pytest.mark.parametrize(("batches", "groups"), [(4, [3, 1]), (6, [3, 3]), (2, [2])])
def test_each_group_of_accumulated_batches_weighs_alike_though_the_last_is_smaller(monkeypatch, batches, groups):
    gradients = []
    original = Stepper._update

    def update(self, names):
        gradients.append(float(self.model.weight.grad))
        original(self, names)

    monkeypatch.setattr(Stepper, "_update", update)
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=3, step_scheduler_with_optimizer=False)
    nothing = torch.zeros(1)
    samples = [Sample(nothing, nothing, None, None, ["a"])] * batches
    optimiser = torch.optim.SGD((model := nn.Linear(1, 1, bias=False)).parameters(), lr=0.1)
    loader = DataLoader(samples, batch_size=1, collate_fn=lambda items: items[0])
    model, prepared, loader = accelerator.prepare(model, optimiser, loader)
    schedule = LambdaLR(optimiser, lambda _: 1.0)
    stepper = Stepper(
        accelerator,
        model,
        lambda model, _: model(torch.ones(1, 1)).sum(),  # whose gradient is 1
        prepared,
        schedule,
        ModelEmaV3(model),
        Progress(),
        clip_norm=100.0,
        batches_per_epoch=batches,
    )
    for _ in range(2):  # epochs
        for batch in loader:
            stepper(batch)
    assert gradients == pytest.approx([1.0] * 2 * len(groups))
