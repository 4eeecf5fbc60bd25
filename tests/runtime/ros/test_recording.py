"""Recordings in and out: what is written here is read back by Foxglove's readers, which share no code with rosbags."""

import sqlite3

import numpy as np
import pytest
from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.frames.frame import DepthFrame, Frame
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import (
    AnswerOptions,
    Recording,
    RecordingSink,
    RecordingSource,
    is_recording,
    make_answer,
    record_depth,
)
from lightdepth_runtime.spec import Intrinsics

START_NS, STEP_NS = 1_305_031_232_861_666_111, 33_333_333
COLOR, DEPTH = "/camera/color/image_raw", "/camera/depth/image_raw"
STORAGES = {"mcap": "recording", "sqlite3": "recording", "ros1": "recording.bag"}


@pytest.fixture
def estimator():
    return DepthEstimator(FakeBackend())


def images(tum):
    return [pair.read().image for split in ("train", "test") for pair in load_pairs(tum, split).pairs]


def read_back(folder):
    """Return (topic, log time, message) of each message, by the independent reader."""
    (path,) = folder.glob("*.mcap")
    with path.open("rb") as file:
        messages = make_reader(file, decoder_factories=[DecoderFactory()]).iter_decoded_messages()
        return [(channel.topic, message.log_time, decoded) for _, channel, message, decoded in messages]


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", ["rgb8", "bgr8"])
def test_frames_of_a_recording_are_the_images_with_stamp_frame_and_camera(write_bag, tum, tmp_path, storage, encoding):
    bag = write_bag(tmp_path / STORAGES[storage], storage, encoding=encoding)
    with RecordingSource(bag, COLOR) as source:
        assert source.count == 6
        assert source.fps == pytest.approx(30, rel=1e-3)
        frames = list(source)
    for number, (frame, image) in enumerate(zip(frames, images(tum), strict=True)):
        np.testing.assert_array_equal(frame.image, image)
        assert frame.stamp_ns == START_NS + number * STEP_NS
        assert frame.frame_id == "camera_color_optical_frame"
        assert frame.intrinsics == Intrinsics(129.3, 129.2, 79.5, 59.5, 160, 120)
    assert len({frame.name for frame in frames}) == 6


def test_a_compressed_topic_finds_its_camera_and_the_jpeg_pixels(write_bag, tum, tmp_path):
    bag = write_bag(tmp_path / "jpeg", encoding="jpeg")
    with RecordingSource(bag, f"{COLOR}/compressed") as source:
        frame = next(iter(source))
    np.testing.assert_array_equal(frame.image, images(tum)[0])
    assert frame.intrinsics.fx == 129.3


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("encoding", ["32FC1", "16UC1"])
def test_depth_read_back_by_another_reader_is_right(write_bag, tum, tmp_path, estimator, storage, encoding):
    bag = write_bag(tmp_path / STORAGES[storage], storage)
    output = tmp_path / "depth"
    with RecordingSource(bag, COLOR) as source:
        assert infer_stream(estimator, source, [RecordingSink(output, encoding)]).paths == [output]
    found = read_back(output)
    depth = [(at, message) for topic, at, message in found if topic == "/lightdepth/depth/image_rect"]
    info = [message for topic, _, message in found if topic == "/lightdepth/depth/camera_info"]
    assert len(depth) == len(info) == 6
    for number, ((received_ns, message), camera, image) in enumerate(zip(depth, info, images(tum), strict=True)):
        expected_m = estimator(image)
        assert (message.encoding, message.is_bigendian) == (encoding, 0)
        assert (message.height, message.width, message.step) == (120, 160, 160 * (4 if encoding == "32FC1" else 2))
        assert received_ns == START_NS + number * STEP_NS + 5_000_000
        for header in (message.header, camera.header):
            assert header.stamp.sec * 10**9 + header.stamp.nanosec == START_NS + number * STEP_NS
            assert header.frame_id == "camera_color_optical_frame"
        values = np.frombuffer(message.data, "<f4" if encoding == "32FC1" else "<u2").reshape(120, 160)
        if encoding == "32FC1":
            np.testing.assert_array_equal(values, expected_m)
        else:
            np.testing.assert_allclose(values / 1000, expected_m, atol=0.00051)  # half a millimetre of rounding
        assert (camera.height, camera.width, camera.distortion_model) == (120, 160, "plumb_bob")
        np.testing.assert_array_equal(camera.k, [129.3, 0, 79.5, 0, 129.2, 59.5, 0, 0, 1])
        assert list(camera.d) == [0.1, 0, 0, 0, 0]


def test_a_focal_length_that_the_user_gives_stands_over_the_recorded_camera(write_bag, tmp_path):
    backend = FakeBackend()
    backend.spec = backend.spec.with_changes(intrinsics=Intrinsics(129.3, 129.2, 79.5, 59.5, 160, 120))
    bag, depths = write_bag(tmp_path / "bag"), {}
    for focal_px in (None, 2 * 129.3):
        with RecordingSource(bag, COLOR) as source:
            sink = RecordingSink(tmp_path / str(focal_px))
            infer_stream(DepthEstimator(backend), source, [sink], lens=Lens(focal_px), most_frames=1)
        found = {topic: message for topic, _, message in read_back(tmp_path / str(focal_px))}
        depths[focal_px] = np.frombuffer(found["/lightdepth/depth/image_rect"].data, "<f4")
        k = found["/lightdepth/depth/camera_info"].k
        assert (k[0], k[2], k[5]) == (focal_px or 129.3, 79.5, 59.5)
    np.testing.assert_allclose(depths[2 * 129.3], 2 * depths[None], rtol=1e-3)


def test_frames_from_elsewhere_get_a_camera_info_of_their_intrinsics(tmp_path):
    camera = Intrinsics(100, 101, 31.5, 15.5, 64, 32)
    sink = RecordingSink(tmp_path / "depth")
    sink.write(DepthFrame(Frame(np.zeros((32, 64, 3), np.uint8), 5, "a"), np.ones((32, 64), np.float32), camera))
    sink.close()
    messages = {topic: message for topic, _, message in read_back(tmp_path / "depth")}
    np.testing.assert_array_equal(messages["/lightdepth/depth/camera_info"].k, [100, 0, 31.5, 0, 101, 15.5, 0, 0, 1])
    np.testing.assert_array_equal(messages["/lightdepth/depth/camera_info"].p[:3], [100, 0, 31.5])


def test_the_only_image_topic_is_chosen_alone(write_bag, tmp_path):
    bag = write_bag(tmp_path / "one", topics=("color", "info"))
    with RecordingSource(bag) as source:
        assert source.topic == COLOR


def test_several_topics_are_listed_and_one_must_be_named(write_bag, tmp_path):
    bag = write_bag(tmp_path / "two")
    with pytest.raises(LightDepthError, match=rf"several image topics: {COLOR} \(6\), {DEPTH} \(6\); choose"):
        RecordingSource(bag)
    with pytest.raises(LightDepthError, match=rf"no image topic '/nothing'; it has {COLOR} \(6\)"):
        RecordingSource(bag, "/nothing")


def test_a_recording_without_images_says_what_it_holds(write_bag, tmp_path):
    bag = write_bag(tmp_path / "info", topics=("info",))
    with pytest.raises(LightDepthError, match=r"no image topic \(it holds /camera/color/camera_info\)"):
        RecordingSource(bag)


def test_a_folder_named_like_a_ros_1_bag_is_read_as_ros_2(write_bag, tmp_path):
    bag = write_bag(tmp_path / "folder.bag", "mcap")
    with Recording(bag) as recording:
        assert recording.image_topics == {COLOR: 6, DEPTH: 6}


def test_a_storage_file_is_read_without_its_folder(write_bag, tmp_path):
    for storage, pattern in (("mcap", "*.mcap"), ("sqlite3", "*.db3")):
        (file,) = write_bag(tmp_path / storage, storage).glob(pattern)
        assert is_recording(file)
        with Recording(file) as recording:
            assert recording.image_topics == {COLOR: 6, DEPTH: 6}


def test_recordings_are_told_from_images_and_folders(write_bag, tum, tmp_path):
    assert is_recording(write_bag(tmp_path / "recording"))
    assert not is_recording(tum)
    assert not is_recording(tmp_path / "nothing.jpg")


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("share", [0, 0.02, 0.5, 0.99])
def test_a_truncated_recording_is_one_sentence_and_leaves_nothing(write_bag, tmp_path, estimator, storage, share):
    bag = write_bag(tmp_path / STORAGES[storage], storage)
    file = bag if bag.is_file() else next(f for f in bag.iterdir() if f.suffix in (".mcap", ".db3"))
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])

    def copy():
        with record_depth(tmp_path / "depth") as recorder, RecordingSource(bag, COLOR) as source:
            for frame in source:
                done = DepthFrame(frame, estimator(frame.image), None)
                recorder.write(make_answer(done, AnswerOptions()), frame.received_ns)

    with pytest.raises(LightDepthError, match=r"is empty \(0 bytes\)|damaged or was cut off|has no image topic"):
        copy()
    assert [path.name for path in tmp_path.iterdir()] == [bag.name]


def test_one_damaged_message_is_left_out_and_counted(write_bag, tmp_path, estimator):
    bag = write_bag(tmp_path / "damaged", "sqlite3")
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        rows = database.execute(
            "SELECT messages.id, data FROM messages JOIN topics ON topic_id = topics.id WHERE name = ?", (COLOR,)
        ).fetchall()
        database.execute(
            "UPDATE messages SET data = ? WHERE id = ?", (rows[2][1].replace(b"rgb8", b"rgbX"), rows[2][0])
        )
    database.close()
    output = tmp_path / "depth"
    with (
        RecordingSource(bag, COLOR) as source,
        pytest.raises(LightDepthError, match=r"1 of 6 messages were left out; the first: .*'rgbX'"),
    ):
        infer_stream(estimator, source, [RecordingSink(output)])
    assert len([topic for topic, _, _ in read_back(output) if topic == "/lightdepth/depth/image_rect"]) == 5


@pytest.mark.parametrize("damage", ["stamp", "time"])
def test_a_message_with_times_that_no_recording_can_repeat_is_left_out(write_bag, tmp_path, estimator, damage):
    bag = write_bag(tmp_path / "damaged", "sqlite3", topics=("color", "info"))
    (file,) = bag.glob("*.db3")
    with sqlite3.connect(file) as database:
        rows = database.execute(
            "SELECT messages.id, data FROM messages JOIN topics ON topic_id = topics.id WHERE name = ?", (COLOR,)
        ).fetchall()
        number, content = rows[2]
        latest = (2**31 - 1).to_bytes(4, "little") + b"\xff\xff\xff\xff"  # seconds, and over four billion nanoseconds
        changed = content[:4] + latest + content[12:] if damage == "stamp" else content
        database.execute("UPDATE messages SET data = ? WHERE id = ?", (changed, number))
        if damage == "time":
            database.execute("UPDATE messages SET timestamp = 'noon' WHERE id = ?", (number,))
    database.close()
    with (
        RecordingSource(bag, COLOR) as source,
        pytest.raises(LightDepthError, match=r"1 of 6 messages were left out; .* which no clock says"),
    ):
        infer_stream(estimator, source, [RecordingSink(tmp_path / "depth")])
    assert len([topic for topic, _, _ in read_back(tmp_path / "depth") if topic == "/lightdepth/depth/image_rect"]) == 5


def test_an_encoding_that_is_no_color_is_an_error_at_once(write_bag, tmp_path, estimator):
    bag = write_bag(tmp_path / "yuv", encoding="nv21")
    with RecordingSource(bag, COLOR) as source, pytest.raises(LightDepthError, match="'nv21'; colour images need"):
        infer_stream(estimator, source, [RecordingSink(tmp_path / "depth")])
    assert not (tmp_path / "depth").exists()


def test_what_is_no_recording_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a.mcap").write_bytes(b"x")
    for name, text in (("a.txt", "not a ROS recording"), ("none.bag", "No recording"), ("folder", "ros2 bag reindex")):
        with pytest.raises(LightDepthError, match=text):
            Recording(tmp_path / name)


def test_a_recording_is_never_overwritten_and_an_error_leaves_none(tmp_path):
    (tmp_path / "there").mkdir()
    with pytest.raises(LightDepthError, match="exists already; a recording is never overwritten"):
        RecordingSink(tmp_path / "there")
    sink = RecordingSink(tmp_path / "new")
    sink.write(DepthFrame(Frame(np.zeros((2, 2, 3), np.uint8), 5, "a"), np.ones((2, 2), np.float32), None))
    sink.abort()
    sink.abort()
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("a.bag.active", "rosbag reindex a.bag.active"),
        ("a.mcap.active", "mcap recover a.mcap.active -o a.mcap"),
        ("a_0.db3.zstd", "zstd -d a_0.db3.zstd"),
        ("a_0.mcap.zst", "zstd -d a_0.mcap.zst"),
        ("a.bag.gz", "compressed recording; decompress it"),
    ],
)
def test_an_unfinished_or_compressed_file_says_the_way_out(tmp_path, name, words):
    (tmp_path / name).write_bytes(b"x" * 100)
    assert is_recording(tmp_path / name)
    with pytest.raises(LightDepthError, match=words):
        Recording(tmp_path / name)
    if name.endswith("zstd"):
        assert is_recording(tmp_path)
        with pytest.raises(LightDepthError, match="has no metadata"):
            Recording(tmp_path)
