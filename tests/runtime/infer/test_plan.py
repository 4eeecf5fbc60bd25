"""Images and streams in one call: each gets what suits it, and one that fails doesn't stop the rest."""

import os
import signal
import time

import cv2
import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.camera import Camera, open_camera
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.infer.plan import plan_inputs, run_plan
from lightdepth_runtime.sinks.video import VideoSink


@pytest.fixture
def estimator():
    return DepthEstimator(FakeBackend())


@pytest.fixture
def clip(tum, tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 10, (160, 120))
    for image in sorted(tum.rglob("*_rgb.jpg")):
        writer.write(cv2.imread(str(image)))
    writer.release()
    return path


def test_images_and_videos_get_what_suits_them(estimator, clip, tum, tmp_path):
    image = sorted(tum.rglob("*_rgb.jpg"))[0]
    plan = plan_inputs([str(clip), str(image)], tmp_path / "out", None, Lens())
    assert plan.describe() == "1 image, 1 stream"
    written = run_plan(estimator, plan).paths
    assert sorted(path.name.split("_depth")[1] for path in written) == [".mp4", ".npy", ".png", "_mm.png"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(path.name for path in written)


@pytest.mark.parametrize("name", ["clip.jpg", "clip_000000.jpg", "other.jpg"])
def test_outputs_of_an_image_and_of_a_videos_frames_never_meet(estimator, clip, tum, tmp_path, name):
    image = tmp_path / name
    image.write_bytes(sorted(tum.rglob("*_rgb.jpg"))[0].read_bytes())
    others = clip.rename(tmp_path / "images.mp4") if name == "other.jpg" else clip
    plan = plan_inputs([str(image), str(others)], tmp_path / "out", frozenset({"png16", "mp4"}), Lens())
    done = run_plan(estimator, plan, most_frames=2)
    assert done.files == len(list((tmp_path / "out").iterdir())) == 5


def test_sixteen_bits_of_a_range_they_do_not_hold_are_named_once(tum, tmp_path):
    image = str(sorted(tum.rglob("*_rgb.jpg"))[0])
    for max_depth_m, save, told in ((10, None, 0), (80, None, 1), (80, frozenset({"npy"}), 0)):
        backend = FakeBackend()
        backend.spec = backend.spec.with_changes(max_depth_m=float(max_depth_m))
        said = []
        plan = plan_inputs([image], tmp_path / f"{max_depth_m}-{told}", save, Lens())
        run_plan(DepthEstimator(backend), plan, say=said.append)
        assert sum("65.534 m" in line for line in said) == told


def test_frames_of_a_video_can_be_saved_one_by_one_and_few(estimator, clip, tmp_path):
    plan = plan_inputs([str(clip)], tmp_path / "out", frozenset({"npy", "ply"}), Lens(fov_deg=60))
    run_plan(estimator, plan, most_frames=2)
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == [f"clip_00000{number}_depth.{kind}" for number in (0, 1) for kind in ("npy", "ply")]


def test_a_damaged_video_is_told_and_the_next_one_is_done(estimator, clip, tmp_path):
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(clip.read_bytes()[:3000])
    plan = plan_inputs([str(bad), str(clip)], tmp_path / "out", None, Lens())
    with pytest.raises(LightDepthError, match=r"bad\.mp4 can't be opened as a video"):
        run_plan(estimator, plan)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["clip_depth.mp4"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_ends_a_camera_normally(estimator, monkeypatch, tmp_path, number):
    class Interrupted:
        """A camera whose third frame comes with Ctrl-C, or with a service manager's signal."""

        frames = 0

        def isOpened(self):  # noqa: N802
            return True

        def read(self):
            Interrupted.frames += 1
            if Interrupted.frames == 3:
                time.sleep(0.3)  # until the first is written
                os.kill(os.getpid(), number)
            return True, np.full((24, 32, 3), 90, np.uint8)

        def release(self):
            pass

    monkeypatch.setattr("lightdepth_runtime.frames.camera.open_capture", lambda *_: Interrupted())
    before = signal.getsignal(number)
    plan = plan_inputs(["camera:0"], tmp_path / "out", None, Lens())
    monkeypatch.setattr("lightdepth_runtime.infer.plan.open_stream", _slow_start)
    [path] = run_plan(estimator, plan).paths
    assert path.name == "camera_0_depth.mp4"
    assert path.is_file()
    assert signal.getsignal(number) is before


def _slow_start(job, _say):
    """Open the camera once its frames are asked for, when the interrupt is already looked for."""

    class Late:
        live, count, fps = True, None, None

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.camera.close()

        def end(self):
            self.camera.end()

        def __iter__(self):
            self.camera = Camera(job.source, name=job.stem, opener=lambda source: open_camera(source))
            yield from self.camera

    return Late()


@pytest.mark.parametrize("second", ["none", "VideoSink", "Camera"])
def test_an_interrupt_ends_a_silent_camera_at_once_and_a_second_one_loses_nothing(
    estimator, monkeypatch, tmp_path, second
):
    class Silent:
        """A camera of two frames that then says nothing, and neither fails nor ends."""

        frames = 0

        def isOpened(self):  # noqa: N802
            return True

        def read(self):
            Silent.frames += 1
            if Silent.frames == 3:
                time.sleep(0.3)  # until both frames are written
                os.kill(os.getpid(), signal.SIGINT)
            if Silent.frames > 2:
                time.sleep(1)
            time.sleep(0.1)
            return True, np.full((24, 32, 3), 90, np.uint8)

        def release(self):
            pass

    monkeypatch.setattr("lightdepth_runtime.frames.camera.open_capture", lambda *_: Silent())
    for kind in (VideoSink, Camera):

        def close(closed, kind=kind, real_close=kind.close):
            if second == kind.__name__:  # while the video is being finished, or the camera closed
                os.kill(os.getpid(), signal.SIGINT)
            return real_close(closed)

        monkeypatch.setattr(kind, "close", close)
    before, start = signal.getsignal(signal.SIGINT), time.monotonic()
    monkeypatch.setattr("lightdepth_runtime.infer.plan.open_stream", _slow_start)
    [path] = run_plan(estimator, plan_inputs(["camera:0"], tmp_path / "out", None, Lens())).paths
    assert time.monotonic() - start < 5
    assert path.is_file()
    assert signal.getsignal(signal.SIGINT) is before
