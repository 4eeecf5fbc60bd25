"""Fine-tuning: a checkpoint says its network, a preset its settings, and BatchNorm's statistics stay."""

import pytest
import torch

from lightdepth.checkpoints.checkpoint import build_model, load_checkpoint, save_checkpoint
from lightdepth.checkpoints.find import find_checkpoint
from lightdepth.config import TrainConfig, describe_config, load_config
from lightdepth.network.model import freeze_statistics
from lightdepth.training.average import WeightAverage
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec

SMALL = {"encoder": "mobilenetv3_small_050", "encoder_weights": "none", "decoder_channels": [8, 8, 8, 8]}
SIZE = {"image_height": 64, "image_width": 96}


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """The folder of a run whose best checkpoint is a small random network."""
    folder = tmp_path_factory.mktemp("runs") / "kitchen"
    folder.mkdir()
    config = TrainConfig(**SMALL, **SIZE)
    save_checkpoint(folder / "best.safetensors", build_model(config), ModelSpec("small", 64, 96, 1), config)
    return folder


@pytest.mark.parametrize("name", ["folder", "file"])
def test_the_network_follows_from_the_checkpoint(start, name):
    path = start if name == "folder" else start / "best.safetensors"
    config = load_config(None, [f"start_from={path}"])
    assert (config.encoder, config.decoder_channels) == ("mobilenetv3_small_050", [8, 8, 8, 8])
    assert (config.image_height, config.image_width) == (64, 96)
    assert config == TrainConfig(start_from=str(path))


def test_keys_beside_the_checkpoint_stand_over_what_it_brings(start):
    assert load_config(None, [f"start_from={start}", "image_height=128"]).image_height == 128
    assert load_config(None, ["image_height=128"], {"start_from": str(start)}).image_height == 128


def test_sigma_is_kept_where_the_checkpoint_has_it():
    assert load_config(None, ["start_from=lite0"]).confidence
    assert not load_config(None, ["confidence=false"], {"start_from": "lite0"}).confidence


def test_a_config_that_says_its_network_needs_no_checkpoint_any_more(tmp_path):
    config = load_config(None, [f"start_from={tmp_path / 'gone.safetensors'}", *_words(SMALL), *_words(SIZE)])
    assert config.encoder == "mobilenetv3_small_050"


def _words(values):
    return [f"{key}={value}" for key, value in values.items()]


def test_the_preset_for_small_data_yields_to_what_is_set():
    config = load_config(None, ["preset=finetune", "epochs=2", "start_from=lite0"])
    assert (config.epochs, config.learning_rate, config.freeze_batchnorm) == (2, 2e-5, True)
    assert not load_config(None).freeze_batchnorm


def test_an_unknown_checkpoint_is_refused_with_the_ways_to_name_one(tmp_path):
    with pytest.raises(LightDepthError, match=r"No checkpoint at nowhere; name a \.safetensors file, a training run"):
        load_config(None, ["start_from=nowhere"])
    with pytest.raises(LightDepthError, match=r"holds no best\.safetensors"):
        find_checkpoint(tmp_path)


def test_frozen_statistics_stay_while_weights_learn(start, tum, tmp_path):
    config = load_config(
        None,
        [f"start_from={start}", "preset=finetune", "epochs=1", "batch_size=2", "val_fraction=0", "num_workers=0"],
        {"data_root": str(tum)},
    )
    before = load_checkpoint(start / "best.safetensors").model.state_dict()
    after = load_checkpoint(train(config, tmp_path / "run").last).model.state_dict()
    moved = {key for key in before if not torch.equal(before[key], after[key])}
    assert any(key.endswith("weight") for key in moved)
    assert not any("running_" in key for key in moved)


def test_kept_weights_are_the_mean_with_those_of_the_start(start, tum, tmp_path):
    def weights_after(share):
        settings = [f"start_from={start}", "preset=finetune", "epochs=1", "batch_size=2", "val_fraction=0"]
        settings += ["num_workers=0", "learning_rate=0.01", f"start_share={share}"]
        run = train(load_config(None, settings, {"data_root": str(tum)}), tmp_path / f"share-{share}")
        return load_checkpoint(run.best).model.state_dict()

    first = load_checkpoint(start / "best.safetensors").model.state_dict()
    without, half = weights_after(0), weights_after(0.5)
    assert not torch.equal(without["head.to_depth.weight"], first["head.to_depth.weight"])
    for key, tensor in half.items():
        torch.testing.assert_close(
            tensor, (first[key] + without[key]) / 2 if tensor.is_floating_point() else without[key]
        )


def test_a_share_of_the_start_survives_in_a_saved_state(tmp_path):
    network = torch.nn.Linear(2, 1)
    average = WeightAverage(network, 0.9, start_share=0.5)
    with torch.no_grad():
        network.weight += 1
    average.update(network, torch.ones(()))
    other = WeightAverage(torch.nn.Linear(2, 1), 0.9, start_share=0.5)
    other.load_state_dict(average.state_dict())
    torch.testing.assert_close(other.kept().weight, average.kept().weight)
    torch.testing.assert_close(average.kept().weight, network.weight - 0.5)


def test_a_share_of_no_start_is_refused_with_what_to_name():
    with pytest.raises(LightDepthError, match="--start-from lite0"):
        load_config(None, ["preset=finetune"])


def test_training_mode_ends_the_freeze():
    network = torch.nn.Sequential(torch.nn.BatchNorm2d(3)).train()
    freeze_statistics(network)
    assert not network[0].training
    assert network.train()[0].training


def test_a_run_that_starts_from_the_shipped_model_keeps_its_sigma(tmp_path):
    assert load_config(None, ["start_from=lite0"]).confidence
    assert not load_config(None, ["start_from=lite0", "confidence=false"]).confidence
    (tmp_path / "config.yaml").write_text(describe_config())
    assert load_config(tmp_path / "config.yaml", ["start_from=lite0"]).confidence
    assert not load_config(tmp_path / "config.yaml").confidence


def test_a_shipped_model_without_a_checkpoint_says_so():
    with pytest.raises(LightDepthError, match=r"resnet18 ships as an ONNX file alone.*lite0"):
        find_checkpoint("resnet18")
