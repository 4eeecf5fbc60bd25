"""Weights as other code saves them: each wrapping gives the same tensors."""

import pytest
import timm
import torch
from safetensors.torch import save_file

from lightdepth.checkpoints.checkpoint import build_model
from lightdepth.config import load_config
from lightdepth.network.encoder import build_encoder
from lightdepth.network.weights import read_state_dict
from lightdepth_runtime.errors import LightDepthError

NAME = "resnet10t"
TINY = ["encoder=resnet10t", "encoder_weights=none", "decoder_channels=[8, 8, 8, 8]"]

WRAPPINGS = {
    "bare": lambda state: state,
    "model": lambda state: {"model": state, "epoch": 3},
    "state_dict": lambda state: {"state_dict": state, "optimizer": {"lr": 0.1}},
    "parallel": lambda state: {"state_dict": {f"module.{key}": value for key, value in state.items()}},
    "compiled": lambda state: {f"_orig_mod.{key}": value for key, value in state.items()},
    "both": lambda state: {"model": {f"module._orig_mod.{key}": value for key, value in state.items()}},
    "lightning": lambda state: {"state_dict": {f"model.net.{k}": v for k, v in state.items()}, "epoch": 1},
    "nested": lambda state: {"model": {"state_dict": state}},
    "beside a tensor": lambda state: {
        "state_dict": state,
        "best_acc1": torch.tensor(69.7),
    },  # PyTorch's ImageNet example
    "with numbers": lambda state: {**state, "version": 2},
}


@pytest.fixture(scope="module")
def whole_model():
    return timm.create_model(NAME)


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_an_encoder_takes_its_weights_out_of_any_wrapping(whole_model, tmp_path, wrapping):
    torch.save(WRAPPINGS[wrapping](whole_model.state_dict()), tmp_path / "w.pth")
    encoder, _, _ = build_encoder(NAME, str(tmp_path / "w.pth"))
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, whole_model.state_dict()[key]), key


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_a_training_starts_from_any_wrapping_of_a_whole_network(tmp_path, wrapping):
    config = load_config(None, TINY)
    model = build_model(config)
    torch.save(WRAPPINGS[wrapping](model.state_dict()), tmp_path / "w.pth")
    tuned = build_model(config.model_copy(update={"start_from": str(tmp_path / "w.pth")}))
    for key, tensor in tuned.state_dict().items():
        assert torch.equal(tensor, model.state_dict()[key]), key


def test_an_encoder_takes_its_part_of_a_whole_networks_checkpoint(tmp_path):
    model = build_model(load_config(None, TINY))
    save_file(model.state_dict(), tmp_path / "w.safetensors")
    encoder, _, _ = build_encoder(NAME, str(tmp_path / "w.safetensors"))
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, model.encoder.state_dict()[key]), key


def test_a_pickled_model_is_refused_with_the_way_to_save_its_weights(whole_model, tmp_path):
    torch.save({"model": whole_model}, tmp_path / "w.pth")
    with pytest.raises(LightDepthError, match=r"more than tensors.*torch\.save\(model\.state_dict\(\), PATH\)"):
        build_encoder(NAME, str(tmp_path / "w.pth"))


@pytest.mark.parametrize("content", [{"model": {"epoch": 1}}, {"optimizer": {}}, 7, None])
def test_a_file_without_weights_says_where_it_looked(tmp_path, content):
    torch.save(content, tmp_path / "w.pth")
    with pytest.raises(LightDepthError, match=r"start_from: .* is not a state dict .*under state_dict, model"):
        build_model(load_config(None, [*TINY, f"start_from={tmp_path / 'w.pth'}"]))


def test_weights_of_another_network_name_the_first_difference(whole_model, tmp_path):
    torch.save(whole_model.state_dict(), tmp_path / "w.pth")
    with pytest.raises(LightDepthError, match=r"w\.pth doesn't fit the configured network"):
        build_model(load_config(None, [*TINY, f"start_from={tmp_path / 'w.pth'}"]))


def test_an_exported_file_is_no_state_dict_and_the_run_is_asked_for(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    with pytest.raises(LightDepthError, match=r"start_from: .*m\.onnx is exported already; name the run's folder"):
        read_state_dict(tmp_path / "m.onnx", "start_from")
