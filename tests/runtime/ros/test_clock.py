"""Images whose stamps are unset or repeated: none is lost, and their times come from the recording."""

import cv2
import numpy as np
import pytest
from fakes.bags import COLOR_TOPIC, START_NS, STEP_NS, camera_messages, write_messages

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.frames.frame import DepthFrame, Frame
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.ros import RecordingSource
from lightdepth_runtime.ros.source import header_clock_runs
from lightdepth_runtime.sinks.open import open_sinks
from lightdepth_runtime.sinks.video import VideoSink

RECEIVED = [START_NS + number * STEP_NS for number in range(4)]


@pytest.fixture
def frames(tum):
    return [pair.read() for pair in load_pairs(tum, "train").pairs]


@pytest.mark.parametrize("stamps", [[0] * 4, [START_NS - 7] * 4, [0, 0, START_NS, START_NS], [5, 5, 6, 6]])
def test_a_driver_that_sets_no_stamps_loses_no_frame(frames, tmp_path, stamps):
    path, said = write_messages(tmp_path / "bag", camera_messages(frames, stamps_ns=stamps)), []
    with RecordingSource(path, COLOR_TOPIC, say=said.append) as source:
        estimator = DepthEstimator(FakeBackend())
        sinks = open_sinks({"npy", "mp4"}, tmp_path / "out", "bag", fps=10.0)
        outcome = infer_stream(estimator, source, sinks)
    assert outcome.files == len(list((tmp_path / "out").iterdir())) == 5
    video = cv2.VideoCapture(str(tmp_path / "out" / "bag_depth.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 4
    assert [text for text in said if "times of recording are used" in text]


def test_good_stamps_are_kept_and_one_that_is_unset_is_filled_in(frames, tmp_path):
    stamps = [START_NS + number * STEP_NS - 3 for number in range(12)]
    path = write_messages(tmp_path / "bag", camera_messages([*frames] * 3, stamps_ns=[*stamps[:7], 0, *stamps[8:]]))
    with RecordingSource(path, COLOR_TOPIC) as source:
        found = [frame.stamp_ns for frame in source]
    assert found == [*stamps[:7], stamps[7] + 3, *stamps[8:]]


def test_a_message_that_was_recorded_twice_gets_a_name_of_its_own(frames, tmp_path):
    stamps = [*RECEIVED, *(stamp + 4 * STEP_NS for stamp in RECEIVED), RECEIVED[2], RECEIVED[2]]
    path = write_messages(tmp_path / "bag", camera_messages([*frames, *frames, *frames[:2]], stamps_ns=stamps))
    with RecordingSource(path, COLOR_TOPIC) as source:
        found = list(source)
    assert [frame.stamp_ns for frame in found] == stamps
    assert len({frame.name for frame in found}) == 10


def test_a_clock_runs_if_hardly_a_stamp_is_unset_or_repeated():
    assert header_clock_runs(range(1, 20))
    assert header_clock_runs([*range(1, 20), 19])
    assert header_clock_runs([7])
    for stamps in ([0], [0, 0], [5, 5], [0, 1, 2], [1, 1, 1, 2]):
        assert not header_clock_runs(stamps)


@pytest.mark.parametrize("stamps", [[5] * 4, [10**18, 10**18 + 10**8, 3, 3 + 10**8]])
def test_a_video_of_stamps_that_stand_still_or_leap_back_keeps_every_frame(tmp_path, stamps):
    sink = VideoSink(tmp_path / "a.mp4", 10.0)
    for stamp in stamps:
        sink.write(DepthFrame(Frame(np.zeros((64, 96, 3), np.uint8), stamp, "a"), np.ones((64, 96), np.float32), None))
    sink.close()
    assert cv2.VideoCapture(str(tmp_path / "a.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) == 4


@pytest.mark.parametrize("step_ns", [0, 1, 10**6])
def test_times_of_a_tool_that_wrote_all_at_once_are_no_rate(frames, tmp_path, step_ns):
    messages = camera_messages(frames)
    written = [(topic, kind, START_NS + n * step_ns, message) for n, (topic, kind, _, message) in enumerate(messages)]
    with RecordingSource(write_messages(tmp_path / "bag", written), COLOR_TOPIC) as source:
        assert source.fps is None
