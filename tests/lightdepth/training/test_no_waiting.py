"""A training step asks the device for nothing: no value, no size that depends on values, no copy to the host."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from lightdepth.config import check_config
from lightdepth.data.sample import Sample
from lightdepth.network.encoder import feature_channels
from lightdepth.network.model import LightDepth
from lightdepth.training.average import WeightAverage
from lightdepth.training.losses import DepthLoss
from lightdepth.training.objective import FeatureStudent, Objective
from lightdepth.training.optimiser import build_optimiser, build_schedule
from lightdepth.training.stepper import Progress, Stepper

# What makes the host wait for a GPU: reading a value, or a result whose size depends on values.
WAITING = {"_local_scalar_dense", "item", "is_nonzero", "equal", "nonzero", "masked_select", "_unique2", "bincount"}


class Watch(TorchDispatchMode):
    """Collects the operations that would wait."""

    def __init__(self):
        super().__init__()
        self.waiting = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func._schema.name.removeprefix("aten::")
        masks = name in ("index", "index_put_") and any(i is not None and i.dtype == torch.bool for i in args[1])
        if name in WAITING or masks:
            self.waiting.append(name)
        return func(*args, **(kwargs or {}))


def network():
    return LightDepth("resnet10t", decoder_channels=(8, 8, 8, 8), confidence=True)


def make_stepper(objective_name, scaler):
    """A stepper on a batch of two, as training sets it up; with a scaler as fp16 has it."""
    AcceleratorState._reset_state()
    accelerator = Accelerator(cpu=True, step_scheduler_with_optimizer=False)
    accelerator.scaler = torch.amp.GradScaler("cpu") if scaler else None
    student = trained = network().to(memory_format=torch.channels_last)
    loss, maps = DepthLoss(rmse_weight=0.1), None
    objective = Objective(loss, 0.1, 0.5)
    if objective_name == "features":
        teacher = network().encoder
        student = FeatureStudent(trained, feature_channels(trained.encoder), feature_channels(teacher))
        objective, maps = Objective(loss, 0.1, 0.5, 0.1, teacher), student.maps
    config = check_config({"encoder_weights": "none"})
    optimiser = build_optimiser(trained, config, maps)
    schedule = build_schedule(optimiser, config, 100)
    average = WeightAverage(trained, 0.999)
    student, optimiser = accelerator.prepare(student, optimiser)
    stepper = Stepper(accelerator, student, objective, optimiser, schedule, average, Progress(), 1.0, 100)
    stepper._most_unread = 25  # as on a GPU
    return stepper


def batch(objective_name):
    image, depth_m = torch.randn(2, 3, 64, 96), torch.rand(2, 1, 64, 96) * 5
    teacher_m = None if objective_name == "truth" else depth_m + 0.1
    return Sample(image, depth_m * (depth_m > 1), teacher_m, image, ["a", "b"])


@pytest.mark.parametrize("scaler", [False, True], ids=["fp32", "scaled"])
@pytest.mark.parametrize("objective_name", ["truth", "teacher", "features"])
def test_a_step_waits_for_nothing(objective_name, scaler):
    stepper = make_stepper(objective_name, scaler)
    stepper(batch(objective_name))
    with pytest.MonkeyPatch.context() as patch, Watch() as watch:
        for name in ("cpu", "numpy", "tolist"):  # which no dispatch shows for a tensor on the CPU
            patch.setattr(torch.Tensor, name, None, raising=False)
        stepper(batch(objective_name))
    assert watch.waiting == []
    stepper.read()
    assert stepper.progress.step == 2


def test_the_watch_sees_what_waits():
    with Watch() as watch:
        ones = torch.ones(3)
        ones[ones > 0].nonzero()
        assert ones.sum() > 0
    assert watch.waiting == ["index", "nonzero", "_local_scalar_dense"]


def test_maps_stay_channels_last_through_the_network():
    layouts = {}

    def note(name):
        return lambda _module, _inputs, output: layouts.update({name: output})

    model = network().to(memory_format=torch.channels_last).train()
    for name, module in model.named_modules():
        if isinstance(module, nn.Conv2d | nn.BatchNorm2d):
            module.register_forward_hook(note(name))
    model(batch("truth").image.contiguous(memory_format=torch.channels_last))
    assert len(layouts) > 30
    broken = [n for n, o in layouts.items() if not o.is_contiguous(memory_format=torch.channels_last)]
    assert broken == []
