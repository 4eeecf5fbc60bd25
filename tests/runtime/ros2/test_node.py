"""The ROS 2 node against stand-ins for rclpy and its messages: topics, QoS, parameters, faults."""

import importlib
import math
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

pytest.importorskip("rosbags")
from fakes import ros
from fakes.rooms import room_m

from lightdepth_runtime import DepthEstimator, FakeBackend, LightDepthError, ModelSpec
from lightdepth_runtime.floor import CameraMount

PACKAGE = Path(__file__).parents[3] / "runtime" / "ros2" / "lightdepth_ros"


@pytest.fixture
def node_module(monkeypatch):
    """The node's module, imported with the stand-ins in place."""
    ros.install(monkeypatch)
    monkeypatch.syspath_prepend(str(PACKAGE))
    for name in ("lightdepth_ros", "lightdepth_ros.node", "lightdepth_ros.parameters"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return importlib.import_module("lightdepth_ros.node")


def _messages():
    return sys.modules["sensor_msgs.msg"]


def _header(frame_id="camera_optical_frame", sec=1_700_000_000):
    return SimpleNamespace(stamp=SimpleNamespace(sec=sec, nanosec=5), frame_id=frame_id)


def _image(height=120, width=160, encoding="bgr8"):
    pixels = np.random.default_rng(0).integers(0, 255, (height, width, 3), np.uint8)
    return SimpleNamespace(
        header=_header(), height=height, width=width, encoding=encoding, is_bigendian=0, step=3 * width, data=pixels
    )


def _info():
    k = np.array([130.0, 0, 79.5, 0, 130.0, 59.5, 0, 0, 1])
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    values = {"distortion_model": "plumb_bob", "binning_x": 0, "binning_y": 0, "roi": roi}
    p = np.array([130.0, 0, 79.5, 0, 0, 130.0, 59.5, 0, 0, 0, 1, 0])
    return SimpleNamespace(
        header=_header(), height=120, width=160, d=[0.0] * 5, k=k, r=np.eye(3).ravel(), p=p, **values
    )


def _started(node_module, estimator=None, **parameters):
    ros.Node.overrides = parameters
    node = node_module.LightDepthNode()
    node.start(estimator or DepthEstimator(FakeBackend()), node.read_parameters())
    return node


def test_an_image_is_answered_on_every_topic_with_its_stamp_and_frame(node_module):
    node = _started(node_module, camera_height=0.4, camera_tilt=10.0, steady=False)
    node.subscribed["camera_info"].callback(_info())
    node.subscribed["image"].callback(_image())
    sent = {topic: publisher.sent for topic, publisher in node.published.items()}
    assert {topic: len(messages) for topic, messages in sent.items()} == {
        "depth/image_rect": 1,
        "depth/camera_info": 1,
        "points": 1,
        "scan": 1,
        "confidence": 0,
    }
    for topic in ("depth/image_rect", "depth/camera_info", "points", "scan"):
        [message] = sent[topic]
        assert (message.header.stamp.sec, message.header.stamp.nanosec) == (1_700_000_000, 5)
        frame = "lightdepth_level" if topic == "scan" else "camera_optical_frame"
        assert message.header.frame_id == frame
    [depth], [info] = sent["depth/image_rect"], sent["depth/camera_info"]
    assert (depth.encoding, depth.height, depth.width) == ("32FC1", info.height, info.width)
    [transform] = ros.StaticTransformBroadcaster.sent
    assert (transform.header.frame_id, transform.child_frame_id) == ("camera_optical_frame", "lightdepth_level")
    assert node.get_logger().lines == []


def test_a_camera_without_a_frame_has_no_transform(node_module):
    """tf2 refuses one without a parent."""
    node = _started(node_module, camera_height=0.4, steady=False)
    node.subscribed["camera_info"].callback(_info())
    image = _image()
    image.header.frame_id = ""
    node.subscribed["image"].callback(image)
    assert len(node.published["scan"].sent) == 1
    assert ros.StaticTransformBroadcaster.sent == []


def test_the_scan_measures_the_room(node_module):
    mount = CameraMount(0.4, 10.0)
    depth_m = room_m(mount, wall_m=3.0)
    estimator = SimpleNamespace(spec=ModelSpec("fixed", 64, 96, 0))

    class Says:
        spec = estimator.spec

        def __call__(self, image, *, focal_px=None):
            return depth_m.copy()

        def depth_and_sigma(self, image, *, focal_px=None):
            return self(image), None

    node = _started(node_module, Says(), camera_height=0.4, camera_tilt=10.0, steady=False)
    node.subscribed["camera_info"].callback(_info())
    node.subscribed["image"].callback(_image())
    [scan] = node.published["scan"].sent
    assert len(scan.ranges) == 90
    assert scan.angle_max == pytest.approx(scan.angle_min + 89 * scan.angle_increment)
    middle = [scan.ranges[number] for number in (44, 45)]
    assert middle == pytest.approx([3.0, 3.0], rel=0.02)


def test_without_a_camera_info_depth_alone_is_published(node_module):
    node = _started(node_module, camera_height=0.4)
    node.subscribed["image"].callback(_image())
    assert [topic for topic, publisher in node.published.items() if publisher.sent] == ["depth/image_rect"]


def test_any_subscriber_is_served_and_the_newest_image_wins(node_module):
    node = _started(node_module)
    for publisher in node.published.values():
        assert publisher.qos_profile.reliability == "reliable"  # RViz asks for it, and best effort takes it too
    image = node.subscribed["image"].qos_profile
    assert (image.reliability, image.depth) == ("best_effort", 1)
    assert set(node.subscribed) == {"image", "camera_info", "known_points", "range"}


def test_compressed_images_come_on_their_own_topic(node_module):
    ros.Node.remappings = {"image": "/camera/image_rect"}
    node = _started(node_module, image_transport="compressed")
    assert node.subscribed["/camera/image_rect/compressed"].kind is _messages().CompressedImage
    with pytest.raises(LightDepthError, match="image_transport"):
        _started(node_module, image_transport="theora")


def test_a_message_that_cannot_be_used_is_a_warning_and_the_next_one_works(node_module):
    node = _started(node_module)
    node.subscribed["image"].callback(_image(encoding="16FC7"))
    node.subscribed["known_points"].callback(
        SimpleNamespace(header=_header(), height=1, width=1, fields=[], is_bigendian=False, data=b"")
    )
    wrong = _info()
    wrong.k = np.array([-1.0, 0, 0, 0, np.nan, 0, 0, 0, 1])
    node.subscribed["camera_info"].callback(wrong)
    node.subscribed["image"].callback(_image())
    kinds = [kind for kind, _ in node.get_logger().lines]
    assert kinds[:2] == ["warning", "warning"]
    assert len(node.published["depth/image_rect"].sent) == 1


@pytest.mark.parametrize(
    "parameters",
    [
        {"encoding": "32fc1"},
        {"camera_height": -1.0},
        {"scale_from_floor": True},
        {"point_stride": 0},
        {"camera_height": "high"},
        {"point_stride": 1.5},
        {"camera_height": 1, "camera_roll": 90},
    ],
)
def test_impossible_parameters_are_refused_before_the_first_image(node_module, parameters):
    with pytest.raises(LightDepthError):
        _started(node_module, **parameters)


def test_a_whole_number_does_for_a_length(node_module):
    node = _started(node_module, camera_height=1, camera_tilt=10, steady=False)
    node.subscribed["camera_info"].callback(_info())
    node.subscribed["image"].callback(_image())
    assert len(node.published["scan"].sent) == 1


def test_parameters_are_changed_while_it_runs_all_or_none(node_module):
    node = _started(node_module, camera_height=0.4, camera_tilt=10.0)
    node.subscribed["camera_info"].callback(_info())
    node.subscribed["image"].callback(_image())
    assert node.set_parameters_atomically({"camera_tilt": 20.0, "scan_beams": 30}).successful
    node.subscribed["image"].callback(_image())
    assert [len(scan.ranges) for scan in node.published["scan"].sent] == [90, 30]
    assert len(ros.StaticTransformBroadcaster.sent) == 2  # the level frame is another one
    refused = node.set_parameters_atomically({"scan_beams": 60, "camera_tilt": 95.0})
    assert not refused.successful
    assert "tilt" in refused.reason
    node.subscribed["image"].callback(_image())
    assert len(node.published["scan"].sent[-1].ranges) == 30


@pytest.mark.parametrize(
    ("values", "named"),
    [({"model": "other.onnx"}, "starts"), ({"image_transport": "compressed"}, "starts"), ({"steady": 1}, "bool")],
)
def test_what_cannot_be_changed_while_it_runs_says_so(node_module, values, named):
    refused = _started(node_module).set_parameters_atomically(values)
    assert not refused.successful
    assert named in refused.reason


def test_parameters_of_others_are_none_of_its_business(node_module):
    assert _started(node_module).set_parameters_atomically({"use_sim_time": True}).successful


def test_what_nobody_listens_to_is_not_made(node_module):
    node = _started(node_module)
    node.subscribed["camera_info"].callback(_info())
    node.published["points"].subscribers = 0
    node.subscribed["image"].callback(_image())
    assert [topic for topic, publisher in node.published.items() if publisher.sent] == [
        "depth/camera_info",
        "depth/image_rect",
    ]
    for publisher in node.published.values():
        publisher.subscribers = 0
    node.subscribed["image"].callback(_image(encoding="16FC7"))  # not even decoded
    assert node.get_logger().lines == []


def test_confidence_follows_sigma(node_module):
    spec = ModelSpec("fake", 64, 96, 0, sigma_tensor="sigma")
    node = _started(node_module, DepthEstimator(FakeBackend(spec)), max_sigma=0.15)
    node.subscribed["image"].callback(_image())
    [confidence] = node.published["confidence"].sent
    values = np.frombuffer(confidence.data, np.float32)
    depth_m = np.frombuffer(node.published["depth/image_rect"].sent[0].data, np.float32)
    np.testing.assert_array_equal(np.isnan(depth_m), values < 1 - math.exp(-math.log(1.25) * math.sqrt(2) / 0.15))
    assert 0 < np.isnan(depth_m).mean() < 1


def test_main_runs_until_it_is_interrupted_and_a_wrong_model_is_one_sentence(node_module, monkeypatch):
    rclpy = sys.modules["rclpy"]
    monkeypatch.setattr(DepthEstimator, "load", lambda *_: DepthEstimator(FakeBackend()))

    for end in (KeyboardInterrupt, sys.modules["rclpy.executors"].ExternalShutdownException):

        def ended(node, end=end):
            raise end

        rclpy.spin = ended
        node_module.main()
    assert rclpy.calls == ["init", "shutdown"] * 2

    def missing(*_):
        raise LightDepthError("no such model")

    monkeypatch.setattr(DepthEstimator, "load", missing)
    with pytest.raises(SystemExit) as caught:
        node_module.main()
    assert caught.value.code == 1
