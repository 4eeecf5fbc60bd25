import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from lightdepth.network import model as model_module
from lightdepth.network.model import DEFAULT_DECODER_CHANNELS, LightDepth, keep_inputs
from lightdepth_runtime.errors import LightDepthError

OUTPUTS = ("exp", "softplus", "relu")


def small(output="exp", encoder="resnet10t"):
    torch.manual_seed(0)
    return LightDepth(encoder, decoder_channels=(16, 8, 8, 8), output=output).eval()


@pytest.fixture(scope="module")
def resnet18():
    torch.manual_seed(0)
    return LightDepth().eval()


def test_the_default_network_has_exactly_14_330_369_parameters(resnet18):
    assert sum(p.numel() for p in resnet18.parameters()) == 14_330_369
    assert DEFAULT_DECODER_CHANNELS == (256, 128, 64, 32)


def test_five_scales_from_1_2_to_1_32_feed_the_decoder(resnet18):
    maps = resnet18.encoder(torch.zeros(1, 3, 64, 96))
    assert [tuple(m.shape[1:]) for m in maps] == [
        (64, 32, 48),
        (64, 16, 24),
        (128, 8, 12),
        (256, 4, 6),
        (512, 2, 3),
    ]


def test_a_fresh_network_predicts_positive_finite_depth_at_the_inputs_size(resnet18):
    with torch.inference_mode():
        depth_m = resnet18(torch.randn(2, 3, 64, 96))
    assert depth_m.shape == (2, 1, 64, 96)
    assert depth_m.dtype == torch.float32
    assert torch.isfinite(depth_m).all()
    assert (depth_m > 0).all()
    assert 1 < depth_m.median() < 5  # near a typical room, so that training starts close


@pytest.mark.parametrize("output", OUTPUTS)
def test_every_output_starts_alive_and_can_learn(output):
    network = small(output).train()
    depth_m = network(torch.randn(2, 3, 32, 64))
    assert (depth_m > 0).float().mean() > 0.99
    depth_m.sum().backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in network.parameters())
    assert network.head.features.weight.grad.abs().max() > 0


@pytest.mark.parametrize("output", ["exp", "softplus"])
@pytest.mark.parametrize("scale", [1e3, -1e3])
def test_extreme_features_still_give_finite_non_negative_depth(output, scale):
    network = small(output)
    torch.nn.init.constant_(network.head.to_depth.bias, scale)
    with torch.inference_mode():
        depth_m = network(torch.randn(1, 3, 32, 64))
    assert torch.isfinite(depth_m).all()
    assert (depth_m >= 0).all()


def test_depth_is_float32_and_fine_grained_under_bfloat16_autocast():
    network = small()
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        depth_m = network(torch.randn(1, 3, 64, 96))
    assert depth_m.dtype == torch.float32
    assert (depth_m != depth_m.bfloat16().float()).any()


@pytest.mark.parametrize(("height", "width", "near"), [(100, 96, "96x96"), (64, 90, "64x96"), (1, 1, "32x32")])
def test_a_size_that_32_does_not_divide_is_refused_with_the_nearest(height, width, near):
    with pytest.raises(LightDepthError, match=f"size {height}x{width} is not divisible by 32.*use {near}"):
        small()(torch.zeros(1, 3, height, width))


@pytest.mark.parametrize("encoder", ["mobilenetv3_small_100", "regnety_002", "tf_efficientnet_lite0"])
def test_another_timm_encoder_is_one_argument(encoder):
    with torch.inference_mode():
        depth_m = small(encoder=encoder)(torch.randn(1, 3, 32, 64))
    assert depth_m.shape == (1, 1, 32, 64)
    assert (depth_m > 0).all()


def test_decoder_channels_are_configurable():
    assert [stage.convolutions[0].out_channels for stage in small().stages] == [16, 8, 8, 8]


class Copies(TorchDispatchMode):
    """Counts the maps that are copied before an activation overwrites them."""

    count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten.clone.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("encoder", "copied"), [("tf_efficientnet_lite0", True), ("resnet10t", False)])
def test_no_activation_overwrites_what_its_gradient_needs(encoder, copied):
    """The gradients stay the same to the bit."""
    torch.manual_seed(0)
    network = LightDepth(encoder, decoder_channels=(8, 8, 8, 8)).train()
    image = torch.randn(2, 3, 64, 96)

    def gradients():
        network.zero_grad()
        with Copies() as copies:
            loss = network(image).mean()
        loss.backward()
        return copies.count, [parameter.grad.clone() for parameter in network.parameters()]

    before = gradients()
    keep_inputs(network)
    after = gradients()
    assert (before[0] > 0, after[0]) == (copied, 0)
    assert all(map(torch.equal, before[1], after[1]))


def test_the_decoder_joins_maps_in_the_precision_of_its_skip(monkeypatch):
    """CUDA's autocast interpolates in float32; a CPU's doesn't."""
    double = model_module._double
    monkeypatch.setattr(model_module, "_double", lambda x: double(x).float())
    stage = model_module.DecoderStage(4, 2, 3)
    stage.convolutions = torch.nn.Identity()
    x, skip = torch.randn(1, 4, 2, 2, dtype=torch.float16), torch.randn(1, 2, 4, 4, dtype=torch.float16)
    joined = stage(x, skip)
    assert (joined.dtype, joined.shape) == (torch.float16, (1, 6, 4, 4))
