"""Training runs of seconds: a tiny network on the six pairs in tests/data."""

import pytest
import torch
from safetensors.torch import load_file

from lightdepth.config import load_config
from lightdepth.training import train as train_module
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError

NETWORK = ("encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]")
TINY = (
    *NETWORK, "image_height=64", "image_width=96", "epochs=2", "batch_size=2", "num_workers=0", "num_threads=1",
    "precision=fp32",
)  # fmt: skip


def settings(data, *overrides):
    """Return the config of a tiny run that is validated on the same data."""
    return load_config(None, [*TINY, f"data_root={data}", f"val_data={data}", *overrides])


def weights(folder):
    """Return the tensors of a run's checkpoints."""
    return {name: load_file(folder.path / f"{name}.safetensors") for name in ("best", "last")}


def assert_equal_weights(one, other):
    """Check that two runs ended with the same bits."""
    for name, tensors in weights(one).items():
        for key, tensor in weights(other)[name].items():
            assert torch.equal(tensors[key], tensor), f"{name}: {key}"


def refusal(config, output, **arguments):
    """Return the one sentence with which a run is refused."""
    with pytest.raises(LightDepthError) as caught:
        train(config, output, **arguments)
    assert "\n" not in str(caught.value)
    assert "Traceback" not in str(caught.value)
    return str(caught.value)


class InterruptedTrainingError(Exception):
    """Stands for a killed process."""


def interrupt_at(monkeypatch, step):
    """Let training stop in the middle of an epoch, as a killed process does."""
    original = train_module.Stepper.__call__

    def call(self, *arguments):
        if self.progress.step == step:
            raise InterruptedTrainingError
        return original(self, *arguments)

    monkeypatch.setattr(train_module.Stepper, "__call__", call)
