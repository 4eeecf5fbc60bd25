"""Which camera a CameraInfo tells for an image, however the image was cut, binned, scaled or rectified."""

import numpy as np
import pytest
from fakes.bags import COLOR_TOPIC, FX, IMAGE, INFO, START_NS, STEP_NS, camera_messages, image, info, write_messages

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import (
    CameraMisfitError,
    Recording,
    RecordingSink,
    RecordingSource,
    camera_of,
    is_calibrated,
    is_rectified,
)
from lightdepth_runtime.ros.image_camera import info_topics
from lightdepth_runtime.spec import Intrinsics


@pytest.fixture
def frames(tum):
    return [pair.read() for pair in load_pairs(tum, "train").pairs]


def cameras(path, topic=COLOR_TOPIC, said=None):
    with RecordingSource(path, topic, say=(said if said is not None else []).append) as source:
        return [frame.intrinsics for frame in source]


def test_a_region_of_interest_moves_the_centre_and_keeps_the_focal_length():
    message = info(size=(640, 480), fx=535.4, roi=(160, 120, 320, 240))
    assert camera_of(message, 320, 240) == Intrinsics(535.4, 535.4, 159.5, 119.5, 320, 240)
    assert camera_of(message, 160, 120).fx == pytest.approx(267.7)  # the region, made smaller by half
    assert camera_of(message, 640, 480).fx == 535.4  # a driver that names a region and sends everything
    assert Intrinsics.from_camera_info(message).width == 320


def test_binning_halves_the_focal_length_of_whole_and_region():
    assert camera_of(info(size=(640, 480), fx=500, binning=2), 320, 240).fx == 250
    region = camera_of(info(size=(640, 480), fx=500, binning=2, roi=(0, 0, 400, 480)), 200, 240)
    assert (region.fx, region.cx) == (250, pytest.approx(159.5))
    assert camera_of(info(size=(640, 480), fx=500, binning=2), 640, 480).fx == 500


def test_an_image_of_another_shape_has_no_known_camera():
    with pytest.raises(CameraMisfitError, match="640x480 pixels and these have 640x360"):
        camera_of(info(size=(640, 480), fx=500), 640, 360)
    assert camera_of(info(size=(1296, 968), fx=1000), 648, 484).fx == 500


@pytest.mark.parametrize("size", [(0, 0), (0, 480), (640, 0)])
def test_a_camera_info_without_a_size_is_not_used(size):
    with pytest.raises(CameraMisfitError, match="so it isn't used"):
        camera_of(info(size=size, fx=500), 640, 480)


def test_a_region_outside_the_sensor_is_not_used():
    with pytest.raises(CameraMisfitError, match="lies outside its 320x240"):
        camera_of(info(size=(320, 240), roi=(160, 120, 320, 240)), 320, 240)


def test_rectified_topics_take_p_and_raw_ones_k():
    message = info(fx=100, p_fx=90)
    assert camera_of(message, 160, 120, rectified=True).fx == 90
    assert camera_of(message, 160, 120).fx == 100
    assert camera_of(info(fx=100, p_fx=0), 160, 120, rectified=True).fx == 100  # P not filled in
    for topic in (
        "/camera/image_rect",
        "/rgb/image_rect_color",
        "/left/image_rect/compressed",
        "/zed/rgb/rect/image",
        "/cam/image_undistorted",
    ):
        assert is_rectified(topic)
    for topic in ("/camera/image_raw", "/camera/direct/image", "/rectangle/image_color"):
        assert not is_rectified(topic)


def test_what_is_no_number_or_zero_is_uncalibrated():
    assert is_calibrated(info())
    for fx in (0.0, -500.0, float("nan"), float("inf")):
        assert not is_calibrated(info(fx=fx))


def test_a_camera_info_stands_beside_below_or_as_librealsense_puts_it():
    assert info_topics("/camera/image_raw/compressed")[0] == "/camera/camera_info"
    assert info_topics("/image_raw")[0] == "/camera_info"
    assert info_topics("image_raw")[0] == "camera_info"  # recorded without the leading slash
    assert "/a/rect/image/camera_info" in info_topics("/a/rect/image")
    assert "/device_0/sensor_1/Color_0/info/camera_info" in info_topics("/device_0/sensor_1/Color_0/image/data")


def test_zeros_at_first_switch_nothing_off(frames, tmp_path):
    infos = [info(fx=0.0), info(START_NS + STEP_NS), None, info(START_NS + 3 * STEP_NS, fx=0.0)]
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=infos))
    assert [camera.fx for camera in cameras(path)] == [FX] * 4


def test_a_camera_that_changes_counts_from_its_own_stamp_on(frames, tmp_path):
    messages = camera_messages(frames)
    for number, fx in ((0, 100.0), (2, 200.0)):  # behind their images, as some drivers send them
        stamp_ns = START_NS + number * STEP_NS
        messages.append((INFO_TOPIC, INFO, stamp_ns + 5, info(stamp_ns, fx=fx)))
    path = write_messages(tmp_path / "bag", sorted(messages, key=lambda message: message[2]))
    assert [camera.fx for camera in cameras(path)] == [100, 100, 200, 200]


INFO_TOPIC = "/camera/color/camera_info"


def test_frames_of_a_cut_recording_have_the_camera_of_the_cut(frames, tmp_path):
    infos = [info(START_NS + n * STEP_NS, size=(320, 240), roi=(80, 60, 160, 120)) for n in range(4)]
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=infos))
    assert cameras(path)[0] == Intrinsics(FX, FX, 79.5, 59.5, 160, 120)


@pytest.mark.parametrize(("size", "words"), [((0, 0), "0x0 pixels"), ((160, 90), "another shape")])
def test_a_camera_that_is_not_the_images_is_said_once_and_depth_goes_on(frames, tmp_path, size, words):
    infos = [info(START_NS + n * STEP_NS, size=size) for n in range(4)]
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=infos))
    said = []
    assert cameras(path, said=said) == [None] * 4
    assert len(said) == 1
    assert words in said[0]


def test_sixteen_bit_frames_are_brightened_by_one_rule(frames, tmp_path):
    messages = [
        (COLOR_TOPIC, IMAGE, START_NS + n, image(START_NS + n, (frame.image >> shift).astype(np.uint16) << 4, "rgb16"))
        for n, (frame, shift) in enumerate(zip(frames, (4, 0, 4, 4), strict=True))  # dark frames of a 12-bit camera
    ]
    with RecordingSource(write_messages(tmp_path / "bag", messages), COLOR_TOPIC) as source:
        for number, (found, frame) in enumerate(zip(source, frames, strict=True)):
            np.testing.assert_array_equal(found.image, frame.image >> (0 if number == 1 else 4))


@pytest.mark.parametrize("size", [(0, 0), (160, 90), (100, 100)])
def test_a_recording_is_written_without_a_camera_that_is_not_the_images(frames, tmp_path, size):
    infos = [info(START_NS + n * STEP_NS, size=size, roi=(80, 60, 160, 120)) for n in range(4)]
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=infos))
    with RecordingSource(path, COLOR_TOPIC) as source:
        infer_stream(DepthEstimator(FakeBackend()), source, [RecordingSink(tmp_path / "depth")])
    with Recording(tmp_path / "depth") as recording:
        [topic] = recording.image_topics
        assert recording.image_topics[topic] == 4
        assert recording.camera_info(topic) is None
