"""Recordings that are odd in one way become right pairs, or a sentence that says what is wrong and what to do."""

import cv2
import numpy as np
import pytest
from fakes.bags import (
    COLOR_TOPIC,
    COMPRESSED,
    DEPTH_TOPIC,
    FLOAT,
    FX,
    IMAGE,
    INFO,
    ROS1,
    START_NS,
    STEP_NS,
    camera_messages,
    compressed,
    image,
    info,
    write_messages,
)

from lightdepth.prepare.bags.scene import Extraction
from lightdepth.prepare.from_bag import extract_recordings
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit
from lightdepth_runtime.spec import Intrinsics


def extract_pairs(bag, color, depth, output, say=lambda _: None, **options):
    return extract_recordings([bag], Extraction(color, depth, **options), output, say=say)


@pytest.fixture
def frames(tum):
    return [pair.read() for pair in load_pairs(tum, "train").pairs]


def millimetres(stamp_ns, depth_m):
    return image(stamp_ns, np.rint(depth_m * 1000).astype(np.uint16), "16UC1")


def extract(path, output, **options):
    said = []
    written = extract_pairs(path, COLOR_TOPIC, DEPTH_TOPIC, output, say=said.append, **options)
    return written, said


def infos(**options):
    return [info(START_NS + number * STEP_NS, **options) for number in range(4)]


@pytest.mark.parametrize("stamps", [[0] * 4, [START_NS] * 4])
def test_stamps_that_tell_nothing_are_replaced_by_the_times_of_recording(frames, tmp_path, stamps):
    path = write_messages(tmp_path / "bag", camera_messages(frames, stamps_ns=stamps, depth=millimetres))
    written, said = extract(path, tmp_path / "out")
    assert written == 4
    assert any("times of recording" in text for text in said)
    for pair, frame in zip(load_pairs(tmp_path / "out", "train").pairs, frames, strict=True):
        np.testing.assert_array_equal(pair.read().depth_m, frame.depth_m)


def test_two_cameras_of_different_clocks_are_matched_by_the_times_of_recording(frames, tmp_path):
    path = write_messages(tmp_path / "bag", camera_messages(frames, depth=lambda t, d: millimetres(t + 10**12, d)))
    for clock in ("auto", "header"):
        with pytest.raises(LightDepthError, match="--clock recorded"):
            extract(path, tmp_path / "out", clock=clock)
    assert extract(path, tmp_path / "out", clock="recorded")[0] == 4


def test_all_zero_depth_is_an_error_and_one_such_frame_is_left_out(frames, tmp_path):
    def some(stamp_ns, depth_m):
        return millimetres(stamp_ns, depth_m * (stamp_ns > START_NS))

    path = write_messages(tmp_path / "some", camera_messages(frames, depth=some))
    written, said = extract(path, tmp_path / "out")
    assert written == 3
    assert said[-1].startswith("1 of 4 pairs were left out")
    path = write_messages(tmp_path / "none", camera_messages(frames, depth=lambda t, d: millimetres(t, d * 0)))
    with pytest.raises(LightDepthError, match="not one of 4 depth images has a reading"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out" / "none").exists()


def test_floats_in_millimetres_name_the_option_that_reads_them(frames, tmp_path):
    def depth(stamp_ns, depth_m):
        return image(stamp_ns, depth_m * 1000, "32FC1")

    path = write_messages(tmp_path / "bag", camera_messages(frames, depth=depth))
    with pytest.raises(LightDepthError, match=r"most readings lie beyond 65\.534 m.*--depth-scale millimetres"):
        extract(path, tmp_path / "out")
    extract(path, tmp_path / "out", unit=parse_depth_unit("millimetres"))
    np.testing.assert_allclose(
        load_pairs(tmp_path / "out", "train").pairs[0].read().depth_m, frames[0].depth_m, atol=0.0006
    )


def test_the_list_has_the_camera_of_the_images_as_they_were_cut(frames, tmp_path):
    cut = infos(size=(320, 240), roi=(80, 60, 160, 120))
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=[info(fx=0.0), *cut[1:]], depth=millimetres))
    extract(path, tmp_path / "out")
    assert load_pairs(tmp_path / "out", "train").intrinsics == Intrinsics(FX, FX, 79.5, 59.5, 160, 120)


def test_a_camera_of_another_shape_is_not_written_and_said(frames, tmp_path):
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=infos(size=(160, 90)), depth=millimetres))
    _, said = extract(path, tmp_path / "out")
    assert load_pairs(tmp_path / "out", "train").intrinsics is None
    assert sum("another shape" in text for text in said) == 1


@pytest.mark.parametrize("told", [None, infos(fx=0.0)])
def test_a_recording_without_a_calibrated_camera_says_where_it_was_looked_for(frames, tmp_path, told):
    path = write_messages(tmp_path / "bag", camera_messages(frames[:4], infos=told, depth=millimetres))
    written, said = extract(path, tmp_path / "out")
    assert written == 4
    (line,) = [text for text in said if "no calibrated CameraInfo stands on" in text]
    assert f"{COLOR_TOPIC.rsplit('/', 1)[0]}/camera_info" in line
    assert load_pairs(tmp_path / "out", "train").intrinsics is None


def test_a_camera_that_zooms_within_a_recording_is_refused(frames, tmp_path):
    cameras = [*infos()[:2], *infos(fx=2 * FX)[2:]]
    path = write_messages(tmp_path / "bag", camera_messages(frames, infos=cameras, depth=millimetres))
    with pytest.raises(LightDepthError, match=r"camera changes here, from fx 130\.0 of 160 pixels to 260\.0"):
        extract(path, tmp_path / "out")


def test_depth_registered_at_half_the_size_is_taken(frames, tmp_path):
    messages = camera_messages(frames, depth=lambda t, d: millimetres(t, d[::2, ::2]))
    path = write_messages(tmp_path / "bag", messages)
    extract(path, tmp_path / "out")
    frame = load_pairs(tmp_path / "out", "train").pairs[0].read()
    assert frame.image.shape == (60, 80, 3)
    np.testing.assert_array_equal(frame.depth_m, frames[0].depth_m[::2, ::2])
    assert cv2.imread(str(next((tmp_path / "out" / "bag").glob("*_rgb.png")))).shape == (120, 160, 3)


@pytest.mark.parametrize("option", ["Depth_Units", "Depth Units"])
def test_realsense_viewers_layout_gives_metres_and_the_camera(frames, tmp_path, option):
    color, depth = "/device_0/sensor_1/Color_0/image/data", "/device_0/sensor_0/Depth_0/image/data"
    unit = ROS1.types[FLOAT](0.00025)  # the L515's
    messages = [
        (f"/device_0/sensor_0/option/{option}/value", FLOAT, START_NS, unit),
        ("/device_0/sensor_1/Color_0/info/camera_info", INFO, START_NS, info(store=ROS1)),
    ]
    for number, frame in enumerate(frames):
        stamp_ns = START_NS + number * STEP_NS
        stored = np.rint(frame.depth_m * 4000).astype(np.uint16)
        messages.append((color, IMAGE, stamp_ns, image(stamp_ns, frame.image, "rgb8", ROS1)))
        messages.append((depth, IMAGE, stamp_ns, image(stamp_ns, stored, "mono16", ROS1)))
    extract_pairs(write_messages(tmp_path / "a.bag", messages, ROS1), color, depth, tmp_path / "out")
    pair = load_pairs(tmp_path / "out", "train").pairs[0]
    assert pair.intrinsics.fx == FX
    np.testing.assert_allclose(pair.read().depth_m, frames[0].depth_m, atol=0.0006)


def test_a_compressed_bayer_mosaic_is_written_in_its_colours(frames, tmp_path):
    mosaic = np.tile(np.array([[200, 90], [90, 30]], np.uint8), (60, 80))
    content = cv2.imencode(".jpg", mosaic, [cv2.IMWRITE_JPEG_QUALITY, 100])[1].tobytes()
    shape, depth = "bayer_rggb8; jpeg compressed ", millimetres(START_NS, frames[0].depth_m)
    messages = [
        (COLOR_TOPIC, COMPRESSED, START_NS, compressed(START_NS, content, shape)),
        (DEPTH_TOPIC, IMAGE, START_NS, depth),
    ]
    extract(write_messages(tmp_path / "bag", messages), tmp_path / "out")
    image = load_pairs(tmp_path / "out", "train").pairs[0].read().image
    assert np.abs(image[10:-10, 10:-10].astype(int) - [200, 90, 30]).max() < 6


def test_two_clocks_that_tell_nothing_are_refused_and_one_of_them_can_be_taken(frames, tmp_path):
    messages = camera_messages(frames, stamps_ns=[0] * 4, depth=millimetres)
    path = write_messages(tmp_path / "bag", [(topic, kind, START_NS, message) for topic, kind, _, message in messages])
    with pytest.raises(LightDepthError, match=r"neither the stamps .* nor the times of recording tell images apart"):
        extract(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert extract(path, tmp_path / "out", clock="header")[0] == 1
