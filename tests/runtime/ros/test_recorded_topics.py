"""What a recording holds for a robot, read by Foxglove's readers, which share no code with ours."""

import math
import struct
from types import SimpleNamespace

import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from lightdepth_runtime import DepthEstimator, FakeBackend, ModelSpec
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.frames.frame import DepthFrame, Frame
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.ros import RecordingSink
from lightdepth_runtime.ros.source import RecordedFrame

MOUNT = CameraMount(0.4, 10.0)
STAMP_NS = 1_305_031_232_861_666_111
FRAME = "camera_color_optical_frame"


@pytest.fixture(scope="module")
def depth_m():
    made = room_m(MOUNT, wall_m=3.0, boxes=((1.5, 0.4, 0.1, 0.5),))
    made[0, :5] = np.nan
    return made


@pytest.fixture(scope="module")
def recorded(depth_m, tmp_path_factory):
    """The messages of two frames by topic, as (message, its channel's metadata)."""
    path = tmp_path_factory.mktemp("robot") / "depth"
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    sink = RecordingSink(path, mount=MOUNT)
    for number in range(2):
        sink.write(DepthFrame(Frame(image, STAMP_NS + number * 10**8, "a", CAMERA, FRAME), depth_m, CAMERA))
    sink.close()
    found = {}
    [file] = path.glob("*.mcap")
    with file.open("rb") as opened:
        for _, channel, _, message in make_reader(opened, decoder_factories=[DecoderFactory()]).iter_decoded_messages():
            found.setdefault(channel.topic, []).append((message, channel.metadata))
    return found


def test_the_topics_are_the_nodes(recorded):
    assert {topic: len(messages) for topic, messages in recorded.items()} == {
        "/lightdepth/depth/image_rect": 2,
        "/lightdepth/depth/camera_info": 2,
        "/lightdepth/points": 2,
        "/lightdepth/scan": 2,
        "/tf_static": 1,
    }


def test_every_message_has_the_frames_stamp_and_its_frame(recorded):
    for topic, frame in (
        ("/lightdepth/depth/image_rect", FRAME),
        ("/lightdepth/depth/camera_info", FRAME),
        ("/lightdepth/points", FRAME),
        ("/lightdepth/scan", "lightdepth_level"),
    ):
        for number, (message, _) in enumerate(recorded[topic]):
            stamp = message.header.stamp
            assert stamp.sec * 10**9 + stamp.nanosec == STAMP_NS + number * 10**8
            assert message.header.frame_id == frame


def test_points_are_those_of_the_depth_image_to_a_millimetre(recorded, depth_m):
    cloud, _ = recorded["/lightdepth/points"][0]
    assert [(field.name, field.offset, field.datatype, field.count) for field in cloud.fields] == [
        ("x", 0, 7, 1),
        ("y", 4, 7, 1),
        ("z", 8, 7, 1),
        ("rgb", 12, 7, 1),
    ]
    assert (cloud.height, cloud.width, cloud.point_step, cloud.row_step) == (30, 40, 16, 640)
    assert not cloud.is_bigendian
    assert not cloud.is_dense
    for row in range(30):
        for column in range(40):
            x, y, z = struct.unpack_from("<fff", cloud.data, row * cloud.row_step + column * cloud.point_step)
            expected = float(depth_m[4 * row, 4 * column])
            if np.isnan(expected):
                assert np.isnan([x, y, z]).all()
                continue
            assert z == pytest.approx(expected, abs=1e-3)
            assert x == pytest.approx((4 * column - CAMERA.cx) / CAMERA.fx * expected, abs=1e-3)
            assert y == pytest.approx((4 * row - CAMERA.cy) / CAMERA.fy * expected, abs=1e-3)


def test_the_scan_counts_from_right_to_left_and_sees_wall_and_box(recorded):
    scan, _ = recorded["/lightdepth/scan"][0]
    ranges = np.array(scan.ranges)
    angles = scan.angle_min + scan.angle_increment * np.arange(len(ranges))
    assert angles[-1] == pytest.approx(scan.angle_max, abs=1e-5)
    assert -0.6 < scan.angle_min < 0 < scan.angle_max < 0.6
    assert (scan.range_min, scan.range_max) == (pytest.approx(0.1), pytest.approx(10))
    box = np.abs(angles - np.arctan2(0.25, 1.5)) < 0.03
    assert ranges[box] == pytest.approx(1.5 / np.cos(angles[box]), rel=0.03)
    right = angles < -0.05
    assert ranges[right] == pytest.approx(3.0 / np.cos(angles[right]), rel=0.03)


def test_the_level_frame_stands_up_from_the_camera_for_whoever_comes_later(recorded):
    message, metadata = recorded["/tf_static"][0]
    [transform] = message.transforms
    assert (transform.header.frame_id, transform.child_frame_id) == (FRAME, "lightdepth_level")
    q = transform.transform.rotation
    vector, level_x = np.array([q.x, q.y, q.z]), np.array([1.0, 0, 0])
    turned = level_x + 2 * np.cross(vector, np.cross(vector, level_x) + q.w * level_x)
    # Ahead, seen by a camera that looks 10 degrees down, points up: against y.
    assert turned == pytest.approx([0, -np.sin(np.radians(10)), np.cos(np.radians(10))], abs=1e-6)
    assert "durability: transient_local" in metadata["offered_qos_profiles"]


def test_the_camera_of_depth_has_depths_size(tmp_path, depth_m):
    """A driver that publishes half the calibrated size: the camera is described at the size of depth."""
    info = _calibrated(320, 240)
    sink = RecordingSink(tmp_path / "half")
    frame = RecordedFrame(np.zeros((120, 160, 3), np.uint8), STAMP_NS, "a", CAMERA, FRAME, STAMP_NS, info)
    sink.write(DepthFrame(frame, depth_m, CAMERA))
    sink.close()
    found = _read(tmp_path / "half")
    depth, camera = found["/lightdepth/depth/image_rect"], found["/lightdepth/depth/camera_info"]
    assert (camera.height, camera.width) == (depth.height, depth.width) == (120, 160)
    assert list(camera.k) == pytest.approx([130, 0, 79.5, 0, 130, 59.5, 0, 0, 1])
    assert list(camera.p) == pytest.approx([130, 0, 79.5, 0, 0, 130, 59.5, 0, 0, 0, 1, 0])
    assert list(camera.d) == [0.1, 0, 0, 0, 0]
    assert "/lightdepth/scan" not in found  # nobody said how the camera stands


def test_a_camera_of_another_shape_is_left_out_and_depth_is_recorded(tmp_path, depth_m):
    sink = RecordingSink(tmp_path / "misfit")
    image = np.zeros((120, 160, 3), np.uint8)
    sink.write(
        DepthFrame(RecordedFrame(image, STAMP_NS, "a", None, FRAME, STAMP_NS, _calibrated(320, 320)), depth_m, None)
    )
    sink.close()
    assert set(_read(tmp_path / "misfit")) == {"/lightdepth/depth/image_rect"}


def test_a_model_with_sigma_records_its_confidence(tmp_path):
    estimator = DepthEstimator(FakeBackend(ModelSpec("fake", 64, 96, 0, sigma_tensor="sigma")))
    image = np.random.default_rng(0).integers(0, 255, (120, 160, 3), np.uint8)
    for name, steady in (("plain", False), ("steady", True)):
        infer_stream(estimator, [Frame(image, STAMP_NS, "a")], [RecordingSink(tmp_path / name)], steady=steady)
        confidence = np.frombuffer(_read(tmp_path / name)["/lightdepth/confidence"].data, "<f4").reshape(120, 160)
        sigma = estimator.predict(image).sigma
        expected = [1 - math.exp(-math.log(1.25) * math.sqrt(2) / float(value)) for value in sigma[::40, ::40].ravel()]
        assert confidence[::40, ::40].ravel() == pytest.approx(expected, abs=1e-5)


def _calibrated(width, height):
    """A ROS 1 CameraInfo of 260 pixels of focal length, centred."""
    roi = SimpleNamespace(x_offset=0, y_offset=0, height=0, width=0, do_rectify=False)
    cx, cy = (width - 1) / 2, (height - 1) / 2
    values = {"distortion_model": "plumb_bob", "binning_x": 0, "binning_y": 0, "roi": roi}
    k = np.array([260.0, 0, cx, 0, 260.0, cy, 0, 0, 1])
    p = np.array([260.0, 0, cx, 0, 0, 260.0, cy, 0, 0, 0, 1, 0])
    matrices = {"D": [0.1, 0, 0, 0, 0], "K": k, "R": np.eye(3).ravel(), "P": p}
    return SimpleNamespace(width=width, height=height, **values, **matrices)


def _read(folder):
    """Return the last message of each topic."""
    [file] = folder.glob("*.mcap")
    with file.open("rb") as opened:
        reader = make_reader(opened, decoder_factories=[DecoderFactory()])
        return {channel.topic: message for _, channel, _, message in reader.iter_decoded_messages()}
