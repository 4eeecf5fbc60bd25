import logging
import pickle

import huggingface_hub.constants
import pytest
import timm
import torch
from safetensors.torch import save_file

from lightdepth.network.encoder import build_encoder
from lightdepth_runtime.errors import LightDepthError

NAME = "resnet10t"


class Bomb:
    """A pickle that would leave a file behind if it were loaded."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.fixture(scope="module")
def whole_model():
    torch.manual_seed(3)
    return timm.create_model(NAME)


def refusal(name, weights):
    with pytest.raises(LightDepthError) as caught:
        build_encoder(name, str(weights))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "bin"])
def test_local_weights_of_a_whole_model_fill_the_encoder(whole_model, tmp_path, suffix):
    path = tmp_path / f"weights.{suffix}"
    state = whole_model.state_dict()
    save_file(state, path) if suffix == "safetensors" else torch.save(state, path)
    encoder, channels, missing = build_encoder(NAME, str(path))
    assert (channels, missing) == ([64, 64, 128, 256, 512], [])
    for key, tensor in encoder.state_dict().items():
        assert torch.equal(tensor, state[key]), key


def test_a_state_dict_inside_a_training_checkpoint_is_found(whole_model, tmp_path):
    torch.save({"state_dict": whole_model.state_dict(), "epoch": 3}, tmp_path / "w.pth")
    encoder, _, _ = build_encoder(NAME, str(tmp_path / "w.pth"))
    assert torch.equal(encoder.state_dict()["conv1.0.weight"], whole_model.state_dict()["conv1.0.weight"])


def test_none_gives_random_weights_without_a_file_or_network(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert build_encoder(NAME, "none")[1] == [64, 64, 128, 256, 512]


def test_an_unreachable_hub_names_the_two_other_choices(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    message = refusal("resnet18", "imagenet")
    assert "ImageNet weights of 'resnet18' can't be fetched" in message
    assert "path of a local state dict" in message
    assert "none for random weights" in message


def test_failed_attempts_to_reach_the_hub_stay_off_the_terminal(monkeypatch, capfd):
    def unreachable(*args, **kwargs):
        logging.getLogger("huggingface_hub.utils._http").warning("Retrying in 1s [Retry 1/5].")
        raise OSError("no route to host\nlong advice")

    monkeypatch.setattr(timm, "create_model", unreachable)
    assert "can't be fetched (no route to host)" in refusal("resnet18", "imagenet")
    assert capfd.readouterr() == ("", "")


def test_a_timm_tag_chooses_among_pretrained_weights():
    assert build_encoder("resnet18.tv_in1k", "none")[1] == [64, 64, 128, 256, 512]


def test_an_unknown_encoder_names_the_nearest():
    assert "timm has no encoder 'resnet81' (did you mean 'resnet" in refusal("resnet81", "none")


def test_an_encoder_of_other_scales_is_refused_with_both():
    message = refusal("convnext_atto", "none")
    assert "features at 1/4, 1/8, 1/16, 1/32" in message
    assert "needs 1/2, 1/4, 1/8, 1/16, 1/32" in message


def test_a_missing_file_names_the_choices(tmp_path):
    assert "give imagenet, none, or the path" in refusal(NAME, tmp_path / "gone.pth")


def test_weights_with_other_names_name_the_first_that_is_missing(tmp_path):
    save_file({"conv": torch.zeros(1)}, tmp_path / "w.safetensors")
    message = refusal(NAME, tmp_path / "w.safetensors")
    assert "lacks" in message
    assert "first: conv1.0.weight" in message


def test_weights_of_another_shape_are_refused_with_both_shapes(whole_model, tmp_path):
    state = whole_model.state_dict() | {"bn1.weight": torch.zeros(7)}
    save_file(state, tmp_path / "w.safetensors")
    assert "doesn't fit 'resnet10t': bn1.weight is (7,), needed (64,)" in refusal(NAME, tmp_path / "w.safetensors")


@pytest.mark.parametrize("suffix", ["safetensors", "pth", "pt", "bin"])
def test_code_in_a_pickle_is_never_run(tmp_path, suffix):
    path, trace = tmp_path / f"w.{suffix}", tmp_path / "it-ran"
    path.write_bytes(pickle.dumps({"conv1.weight": Bomb(trace)}, protocol=2))
    assert "can't be read as a state dict" in refusal(NAME, path)
    torch.save({"conv1.weight": Bomb(trace)}, path)
    assert "can't be read as a state dict" in refusal(NAME, path)
    assert not trace.exists()


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken zip"])
@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_damaged_file_is_one_sentence(tmp_path, suffix, content):
    (tmp_path / f"w.{suffix}").write_bytes(content)
    assert "can't be read as a state dict" in refusal(NAME, tmp_path / f"w.{suffix}")


def test_a_file_of_other_things_than_tensors_is_refused(tmp_path):
    torch.save({"conv1.0.weight": [1, 2, 3]}, tmp_path / "w.pth")
    assert "not a state dict of tensors" in refusal(NAME, tmp_path / "w.pth")
    torch.save([torch.zeros(1)], tmp_path / "w.pth")
    assert "not a state dict of tensors" in refusal(NAME, tmp_path / "w.pth")


def test_weights_of_a_larger_network_of_the_family_are_refused(whole_model, tmp_path):
    state = {**whole_model.state_dict(), "layer1.2.conv1.weight": torch.zeros(64, 64, 3, 3)}
    save_file(state, tmp_path / "w.safetensors")
    assert "larger network than 'resnet" in refusal(NAME, tmp_path / "w.safetensors")


def test_a_partial_file_is_taken_when_told_to_and_its_gaps_begin_as_shortcuts(whole_model, tmp_path):
    state = {k: v for k, v in whole_model.state_dict().items() if not k.startswith("layer4.0.conv")}
    save_file(state, tmp_path / "partial.safetensors")
    with pytest.raises(LightDepthError, match=r"lacks 2 of the .* encoder_weights_partial"):
        build_encoder(NAME, str(tmp_path / "partial.safetensors"))
    encoder, _, missing = build_encoder(NAME, str(tmp_path / "partial.safetensors"), partial=True)
    assert missing == ["layer4.0.conv1.weight", "layer4.0.conv2.weight"]
    weights = encoder.state_dict()
    assert (weights["layer4.0.bn2.weight"] == 0).all()  # the block adds nothing to its shortcut
    assert torch.equal(weights["layer3.0.bn2.weight"], state["layer3.0.bn2.weight"])
    save_file({"other": torch.zeros(1)}, tmp_path / "none.safetensors")
    with pytest.raises(LightDepthError, match="lacks"):
        build_encoder(NAME, str(tmp_path / "none.safetensors"), partial=True)
