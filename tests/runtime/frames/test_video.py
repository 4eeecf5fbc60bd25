"""Frames of video files, sound and damaged."""

import itertools

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.video import VideoFile
from lightdepth_runtime.images.decode import read_image

FPS = 10


@pytest.fixture
def clip(tum, tmp_path):
    """Twelve frames of six real images, 160x120 MPEG-4 in MP4 at 10 frames a second."""
    return write_video(tmp_path / "clip.mp4", "mp4v", sorted(tum.rglob("*_rgb.jpg")) * 2)


def write_video(path, codec, images):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*codec), FPS, (160, 120))
    for image in images:
        writer.write(cv2.imread(str(image)))
    writer.release()
    return path


def test_every_frame_comes_in_rgb_with_its_stamp_and_name(clip, tum):
    with VideoFile(clip) as video:
        assert (video.count, video.fps, video.live) == (12, FPS, False)
        frames = list(video)
    assert [frame.name for frame in frames[:2]] == ["clip_000000", "clip_000001"]
    assert [frame.stamp_ns for frame in frames] == [number * 100_000_000 for number in range(12)]
    for frame, path in zip(frames, sorted(tum.rglob("*_rgb.jpg")) * 2, strict=True):
        assert (frame.image.dtype, frame.image.shape) == (np.uint8, (120, 160, 3))
        error = np.abs(frame.image.astype(float) - read_image(path)).mean(axis=(0, 1))
        assert error.max() < 12  # of 255: MPEG-4's loss; swapped channels give 20 and more on these images


def test_an_mp4_cut_before_its_index_is_one_sentence_and_the_next_file_works(clip, tmp_path):
    half = tmp_path / "half.mp4"
    half.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    with pytest.raises(LightDepthError, match=r"half\.mp4 can't be opened as a video: .*cut off"):
        VideoFile(half)
    with VideoFile(clip) as video:
        assert len(list(video)) == 12


def test_a_truncated_avi_gives_the_frames_it_has_and_then_says_so(tum, tmp_path):
    whole = write_video(tmp_path / "whole.avi", "MJPG", sorted(tum.rglob("*_rgb.jpg")) * 2)
    half = tmp_path / "half.avi"
    half.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    frames = []
    with VideoFile(half) as video, pytest.raises(LightDepthError, match=r"half\.avi ends after \d of 12 frames"):
        frames.extend(video)  # list.extend keeps what came before the error
    assert 3 <= len(frames) <= 9


def test_a_corrupt_mp4_ends_in_a_sentence_and_never_in_another_exception(clip, tmp_path):
    random = np.random.default_rng(0)
    for share in (0.02, 0.3):
        content = np.frombuffer(clip.read_bytes(), np.uint8).copy()
        end = int(content.size * 0.8)
        content[random.integers(200, end, int(end * share))] = random.integers(0, 256, int(end * share), np.uint8)
        bad = tmp_path / "bad.mp4"
        bad.write_bytes(content.tobytes())
        frames, ended = [], None
        try:
            with VideoFile(bad) as video:
                frames.extend(video)
        except LightDepthError as error:
            ended = str(error)
        assert len(frames) >= 10 if ended is None else "bad.mp4" in ended


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("zero.mp4", b"", r"zero\.mp4 is empty \(0 bytes\)"),
        ("text.mp4", b"hello " * 200, r"text\.mp4 can't be opened as a video"),
        ("missing.mp4", None, r"Can't read .*missing\.mp4: No such file"),
    ],
)
def test_what_is_no_video_is_one_sentence(tmp_path, name, content, words):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(LightDepthError, match=words):
        VideoFile(tmp_path / name)


def test_a_video_whose_frame_size_changes_comes_in_the_size_of_its_first_frame(tum, tmp_path):
    images = [cv2.imread(str(path)) for path in sorted(tum.rglob("*_rgb.jpg"))]
    images[3:] = [cv2.resize(image, (96, 64)) for image in images[3:]]
    path = tmp_path / "changes.mjpeg"
    path.write_bytes(b"".join(cv2.imencode(".jpg", image)[1].tobytes() for image in images))
    with VideoFile(path) as video:
        assert video.count is None
        assert [frame.image.shape for frame in video] == [(120, 160, 3)] * 6


def test_stamps_increase_where_the_decoder_gives_none(clip):
    class WithoutTimes:
        def __init__(self, path):
            self._capture = cv2.VideoCapture(path)

        def get(self, prop):
            return 0.0 if prop == cv2.CAP_PROP_POS_MSEC else self._capture.get(prop)

        def __getattr__(self, name):
            return getattr(self._capture, name)

    with VideoFile(clip, opener=WithoutTimes) as video:
        stamps = [frame.stamp_ns for frame in video]
    assert stamps[0] == 0
    assert {b - a for a, b in itertools.pairwise(stamps)} == {100_000_000}
