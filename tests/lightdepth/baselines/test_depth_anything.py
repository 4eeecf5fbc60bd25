import json
import shutil

import pytest
import torch
from huggingface_hub import constants
from transformers import DepthAnythingForDepthEstimation

from lightdepth.baselines.depth_anything import Preprocessing, depth_anything_size, load_depth_anything, small_config
from lightdepth.checkpoints.checkpoint import count_parameters
from lightdepth.network.macs import count_gmacs
from lightdepth_runtime import LightDepthError


def test_small_has_exactly_the_published_number_of_parameters():
    with torch.device("meta"):
        network = DepthAnythingForDepthEstimation(small_config())
    assert count_parameters(network) == 24_785_089


@pytest.mark.parametrize(
    ("frame", "size"),
    [((480, 640), (518, 686)), ((640, 480), (686, 518)), ((518, 518), (518, 518)), ((720, 1280), (518, 924))],
)
def test_the_input_keeps_the_aspect_at_518_on_the_shorter_side(frame, size):
    assert depth_anything_size(*frame, Preprocessing()) == size


def test_both_sides_of_the_input_are_multiples_of_the_patch():
    for height, width in ((481, 641), (1, 1000), (333, 777)):
        for side in depth_anything_size(height, width, Preprocessing()):
            assert side % 14 == 0
            assert side >= 518


def test_a_local_folder_brings_its_own_preprocessing(tiny_depth_anything):
    model = load_depth_anything(str(tiny_depth_anything))
    assert model.kind == "relative-inverse"
    assert model.weights == "tiny"
    assert model.preprocessing == Preprocessing(size_px=70, mean=(0.5, 0.5, 0.5))
    assert model.parameters == count_parameters(model.network)
    assert model.name != "depth-anything-v2-small"


def test_a_folder_of_another_architecture_is_refused_by_name(tiny_depth_anything, tmp_path):
    folder = shutil.copytree(tiny_depth_anything, tmp_path / "other")
    (folder / "config.json").write_text(json.dumps({"model_type": "resnet"}))
    with pytest.raises(LightDepthError, match=r"'resnet'.*'depth_anything'"):
        load_depth_anything(str(folder))


@pytest.mark.parametrize("weights", ["hub", "random"])
def test_an_unknown_baseline_is_refused_by_name(weights):
    with pytest.raises(LightDepthError, match=r"Unknown baseline 'midas'.*depth-anything-v2-small"):
        load_depth_anything(weights, "midas")


def test_weights_that_do_not_fit_their_config_are_refused(tiny_depth_anything, tmp_path):
    folder = shutil.copytree(tiny_depth_anything, tmp_path / "resized")
    config = json.loads((folder / "config.json").read_text())
    config["head_hidden_size"] = 6
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(LightDepthError, match=r"can't be loaded|lacks"):
        load_depth_anything(str(folder))


def test_a_truncated_weight_file_is_refused(tiny_depth_anything, tmp_path):
    folder = shutil.copytree(tiny_depth_anything, tmp_path / "cut")
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:5000])
    with pytest.raises(LightDepthError, match="can't be loaded"):
        load_depth_anything(str(folder))


def test_a_missing_folder_is_refused_with_the_choices(tmp_path):
    with pytest.raises(LightDepthError, match="hub, random, or a folder"):
        load_depth_anything(str(tmp_path / "absent"))


def test_a_hub_out_of_reach_names_the_other_two_ways(monkeypatch, tmp_path):
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub._snapshot_download.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(LightDepthError, match=r"V2-Small-hf can't be fetched .*PATH.*random"):
        load_depth_anything("hub")
    with pytest.raises(LightDepthError, match=r"V2-Metric-Indoor-Large-hf can't be fetched .*PATH"):
        load_depth_anything("hub", "depth-anything-v2-metric-indoor-large")


def test_random_weights_of_another_size_are_refused():
    with pytest.raises(LightDepthError, match="for depth-anything-v2-small alone, not for depth-anything-v2-base"):
        load_depth_anything("random", "depth-anything-v2-base")


def test_arithmetic_is_counted_without_changing_the_network():
    network = torch.nn.Conv2d(3, 8, kernel_size=3, padding=1)
    assert count_gmacs(network, 10, 20) == pytest.approx(3 * 8 * 9 * 10 * 20 / 1e9)
    assert network.weight.device.type == "cpu"
