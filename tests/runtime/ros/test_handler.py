"""What the ROS 2 node does with messages, and the example that wires it, without ROS."""

import importlib.util
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import DepthHandler
from lightdepth_runtime.spec import Intrinsics, ModelSpec

EXAMPLE = Path(__file__).parents[3] / "examples" / "ros2_node.py"


@pytest.fixture
def image(tum):
    return load_pairs(tum, "train").pairs[0].read().image


def header():
    return SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123_456_789), frame_id="camera")


def message(pixels, encoding="rgb8"):
    height, width, channels = pixels.shape
    fields = {"height": height, "width": width, "step": width * channels, "is_bigendian": 0}
    return SimpleNamespace(header=header(), encoding=encoding, data=pixels.tobytes(), **fields)


def camera_info(fx, width=160, height=120):
    return SimpleNamespace(k=[fx, 0, 79.5, 0, fx, 59.5, 0, 0, 1], width=width, height=height)


def test_depth_has_the_stamp_frame_and_size_of_its_image(image):
    estimator = DepthEstimator(FakeBackend())
    depth = DepthHandler(estimator)(message(image))
    assert (depth.stamp_ns, depth.frame_id) == (1_700_000_000_123_456_789, "camera")
    np.testing.assert_array_equal(depth.data.view("<f4").reshape(120, 160), estimator(image))


def test_a_camera_with_twice_the_focal_length_doubles_depth(image):
    spec = ModelSpec("fake", 64, 96, 0, intrinsics=Intrinsics(130, 130, 79.5, 59.5, 160, 120))
    handler = DepthHandler(DepthEstimator(FakeBackend(spec)))
    plain = handler(message(image)).data.view("<f4")
    for info in (camera_info(260), camera_info(520, 320, 240)):  # the same lens, calibrated at twice the size
        handler.camera_info(info)
        np.testing.assert_allclose(handler(message(image)).data.view("<f4"), 2 * plain, rtol=1e-6)
    handler.camera_info(camera_info(0))
    np.testing.assert_array_equal(handler(message(image)).data.view("<f4"), plain)


def test_a_bad_message_is_an_error_and_the_next_one_works(image):
    handler = DepthHandler(DepthEstimator(FakeBackend()), "16UC1")
    with pytest.raises(LightDepthError, match="'yuv422'"):
        handler(message(image, "yuv422"))
    assert handler(message(image)).encoding == "16UC1"


def test_a_nodes_parameter_that_is_no_depth_encoding_is_refused_before_the_first_message():
    with pytest.raises(LightDepthError, match="32FC1 or 16UC1, got '32fc1'"):
        DepthHandler(DepthEstimator(FakeBackend()), "32fc1")


def test_the_example_fills_a_ros_message(image):
    spec = importlib.util.spec_from_file_location("ros2_node", EXAMPLE)
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    depth = DepthHandler(DepthEstimator(FakeBackend()))(message(image))
    filled = example.fill_image(SimpleNamespace(header=header()), depth)
    stamp = filled.header.stamp
    assert (stamp.sec, stamp.nanosec, filled.header.frame_id) == (1_700_000_000, 123_456_789, "camera")
    assert (filled.height, filled.width, filled.step, filled.encoding) == (120, 160, 640, "32FC1")
    assert filled.data.typecode == "B"
    assert filled.data.tobytes() == depth.data.tobytes()
