"""Networks with settled BatchNorm statistics, each traced once, and synthetic frames to run them on.

Tracing LightDepth takes many seconds, so whatever holds for any network is tested on `TinyNetwork`.
"""

from functools import lru_cache

import numpy as np
import pytest
import torch

from lightdepth.network.model import DepthHead, LightDepth
from lightdepth_export.onnx.fp16 import to_fp16
from lightdepth_export.onnx.trace import trace_onnx
from lightdepth_export.parity.frames import Frame
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="small", input_height=64, input_width=96, parameters=1, training_data="noise")


class TinyNetwork(torch.nn.Module):
    """One convolution, one upsampling and LightDepth's own head."""

    def __init__(self, output="exp"):
        super().__init__()
        self.body = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, stride=4, padding=1, bias=False),
            torch.nn.BatchNorm2d(16),
            torch.nn.ReLU(),
            torch.nn.Upsample(scale_factor=2.0, mode="bilinear"),
        )
        self.head = DepthHead(16, output)

    def forward(self, image):
        return self.head(self.body(image))


def settled(network):
    """Fit BatchNorm statistics of an untrained network to smooth random images, so that activations stay sane."""
    torch.set_num_threads(1)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None  # cumulative average
    network.train()
    with torch.no_grad():
        for _ in range(3):
            coarse = torch.randn(4, 3, 8, 12)
            network(torch.nn.functional.interpolate(coarse, size=(64, 96), mode="bilinear"))
    return network.eval()


def smooth_frames(count=3, height=120, width=160, *, truth=True):
    """Make smooth random images with smooth depth of 1 to 4 m."""
    from lightdepth_runtime.images.opencv import import_cv2

    cv2 = import_cv2()
    random = np.random.default_rng(1)
    frames = []
    for i in range(count):
        coarse = random.integers(0, 256, (6, 8, 3), dtype=np.uint8)
        image = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
        depth = cv2.resize(random.uniform(1, 4, (3, 4)).astype(np.float32), (width, height))
        frames.append(Frame(f"frame-{i}", image, depth if truth else None))
    return frames


@pytest.fixture(scope="session")
def spec():
    """The spec of every network here."""
    return SPEC


@pytest.fixture(scope="session")
def make_tiny():
    """Build a tiny network: `make_tiny(output="exp")`."""

    def make(output="exp"):
        torch.manual_seed(0)
        return settled(TinyNetwork(output))

    return make


@pytest.fixture(scope="session")
def tiny(make_tiny):
    """A tiny network with LightDepth's head; tests leave it as it is."""
    return make_tiny()


@pytest.fixture(scope="session")
def make_frames():
    """Make synthetic frames: `make_frames(count, height, width, truth=True)`."""
    return smooth_frames


@pytest.fixture(scope="session")
def dynamic(tiny):
    """The tiny network's FP32 graph with an open batch size and names of its own: `rgb` in, `metres` out."""
    return trace_onnx(tiny, SPEC.with_changes(input_name="rgb", output_name="metres"), dynamic_batch=True)


@pytest.fixture(scope="session")
def traced():
    """Return the network of an encoder and its FP32 graph, each made once."""

    @lru_cache
    def trace(encoder):
        torch.manual_seed(0)
        network = settled(LightDepth(encoder, decoder_channels=(32, 24, 16, 16)))
        return network, trace_onnx(network, SPEC)

    return trace


@pytest.fixture(scope="session", params=["resnet18", "tf_efficientnet_lite0"])
def each(request, traced):
    """The network and the FP32 graph of each encoder; tests copy the graph before they change it."""
    return traced(request.param)


@pytest.fixture(scope="session")
def network(traced):
    """The resnet18 network."""
    return traced("resnet18")[0]


@pytest.fixture(scope="session")
def fp32(traced):
    """The resnet18 network's FP32 graph; tests copy it before they change it."""
    return traced("resnet18")[1]


@pytest.fixture(scope="session")
def fp16(fp32):
    """Its FP16 graph."""
    return to_fp16(fp32)


@pytest.fixture
def frames():
    """Three frames with ground truth."""
    return smooth_frames()


@pytest.fixture
def batches(frames):
    """The same, preprocessed: (1, 3, 64, 96) each."""
    from lightdepth_runtime.images.preprocess import preprocess

    return [preprocess(frame.image, SPEC)[None] for frame in frames]
