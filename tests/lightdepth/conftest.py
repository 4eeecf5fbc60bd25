"""Fixtures of the torch side: a Depth Anything V2 small enough to run in a test, without a download."""

import json
import shutil

import pytest
import torch
from transformers import DepthAnythingConfig, DepthAnythingForDepthEstimation, Dinov2Config

from lightdepth.baselines import baseline as baselines

GAIN = 8.0


@pytest.fixture(scope="session")
def tiny_depth_anything(tmp_path_factory):
    """A folder in transformers' format: the architecture of Depth Anything V2 with 60 thousand random parameters."""
    folder = tmp_path_factory.mktemp("weights") / "tiny"
    backbone = Dinov2Config(
        hidden_size=24,
        num_hidden_layers=4,
        num_attention_heads=2,
        image_size=56,
        patch_size=14,
        out_features=["stage1", "stage2", "stage3", "stage4"],
        reshape_hidden_states=False,
        apply_layernorm=True,
    )
    config = DepthAnythingConfig(
        backbone_config=backbone,
        reassemble_hidden_size=24,
        neck_hidden_sizes=[4, 8, 12, 16],
        fusion_hidden_size=8,
        head_hidden_size=4,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = DepthAnythingForDepthEstimation(config)
        # As initialised the map is flat or, by its last ReLU, all zero, which would hide every difference.
        with torch.no_grad():
            for name, weight in network.named_parameters():
                if weight.ndim > 1 and name.startswith(("neck", "head")):
                    weight.mul_(GAIN)
            network.head.conv3.bias.fill_(0.3)
    network.save_pretrained(folder)
    settings = {"size": {"height": 70, "width": 70}, "ensure_multiple_of": 14, "image_mean": [0.5, 0.5, 0.5]}
    (folder / "preprocessor_config.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture(scope="session")
def exported_once(tmp_path_factory):
    """Export each network and size once for all tests: a trace takes seconds, and its file is the same every time."""
    folder, real = tmp_path_factory.mktemp("exported"), baselines.export_baseline

    def export(model, height, width, path, *, precision="fp32"):
        weights = "random" if model.weights == "random" else "given"
        stored = folder / f"{model.parameters}-{weights}-{model.kind}-{height}x{width}-{precision}.onnx"
        if not stored.exists():
            real(model, height, width, stored, precision=precision)
        shutil.copy(stored, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "export_baseline", export)
        yield
