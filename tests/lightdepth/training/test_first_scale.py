import numpy as np
import pytest
import torch

from lightdepth.checkpoints.checkpoint import build_model
from lightdepth.config import TrainConfig
from lightdepth.training.first_scale import match_scale
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec("small", 64, 96, 1, max_depth_m=80.0)
SEEN_M = 2.5  # by the network, everywhere


def network(output):
    values = {"encoder": "mobilenetv3_small_050", "encoder_weights": "none", "decoder_channels": [8, 8, 8, 8]}
    model = build_model(TrainConfig(**values, output=output)).eval()
    with torch.no_grad():
        model.head.to_depth.weight.zero_()
        model.head.to_depth.bias.fill_(0 if output == "exp" else SEEN_M)
    return model


@pytest.mark.parametrize("output", ["exp", "relu"])
def test_pairs_much_farther_than_the_network_sees_multiply_its_depth(tum, output):
    pairs = load_pairs(tum, "train", unit=parse_depth_unit("100"))  # millimetres read as a hundredth of a metre
    model = network(output)
    medians = [float(np.median(depth[(depth > 0) & (depth < 80)])) for depth in (p.read().depth_m for p in pairs.pairs)]
    factor = match_scale(model, SPEC, pairs)
    assert factor == pytest.approx(np.median(medians) / SEEN_M, rel=1e-4)
    assert factor > 3
    with torch.no_grad():
        depth_m = model(torch.zeros(1, 3, 64, 96))
    torch.testing.assert_close(depth_m, torch.full_like(depth_m, SEEN_M * factor))
    assert match_scale(model, SPEC, pairs) is None


def test_pairs_of_rooms_leave_the_network_as_it_is(tum):
    model = network("exp")
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    assert match_scale(model, SPEC, load_pairs(tum, "train")) is None
    assert all(torch.equal(tensor, before[key]) for key, tensor in model.state_dict().items())
