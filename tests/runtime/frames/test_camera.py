"""The newest frame of a camera, through a fake device: fast ones, ones that vanish and ones that come back."""

import os
import signal
import threading
import time

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.camera import Camera, Reconnect, without_password

QUICK = Reconnect(attempts=3, first_wait_s=0.001, stall_s=5.0)


class FakeCapture:
    """Gives the frames it is told to, one for each time that `allow` is released; then fails."""

    def __init__(self, frames, allow=None):
        self.frames, self.allow, self.released = list(frames), allow, False

    def isOpened(self):  # noqa: N802
        return True

    def get(self, _):
        return 0.0

    def read(self):
        if self.allow:
            self.allow.acquire(timeout=5)
        return (True, self.frames.pop(0)) if self.frames else (False, None)

    def release(self):
        self.released = True


class Absent(FakeCapture):
    def __init__(self):
        super().__init__([])

    def isOpened(self):  # noqa: N802
        return False


def image(value, size=(4, 6)):
    return np.full((*size, 3), value, np.uint8)


def devices(*captures):
    """Return an opener that gives the captures in turn, and then none."""
    left = list(captures)
    return lambda _: left.pop(0) if left else Absent()


def wait_until(condition):
    end = time.monotonic() + 5
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    assert condition()


@pytest.mark.slow
def test_a_slow_reader_gets_the_newest_frame_and_never_a_stale_one():
    allow = threading.Semaphore(1)
    with Camera("camera:0", opener=devices(FakeCapture(map(image, range(20)), allow)), reconnect=QUICK) as camera:
        assert camera.newest().image[0, 0, 0] == 0
        allow.release(9)
        wait_until(lambda: camera.dropped == 8)
        frame = camera.newest()
        assert frame.image[0, 0, 0] == 9
        assert frame.name == "camera_0_000001"
        with pytest.raises(LightDepthError, match=r"gave no frame for 0\.01 s"):
            camera.newest(timeout_s=0.01)  # the same frame is not given twice
        allow.release()
        assert camera.newest().image[0, 0, 0] == 10


def test_frames_are_rgb_and_stamped_with_the_clock():
    blue_in_bgr = np.zeros((4, 6, 3), np.uint8)
    blue_in_bgr[..., 0] = 255
    before = time.time_ns()
    with Camera("camera:0", opener=devices(FakeCapture([blue_in_bgr])), reconnect=QUICK) as camera:
        frame = camera.newest()
    assert frame.image[0, 0].tolist() == [0, 0, 255]
    assert before <= frame.stamp_ns <= time.time_ns()


@pytest.mark.slow
def test_a_camera_that_comes_back_goes_on_where_the_size_may_have_changed():
    first, second = FakeCapture([image(1)]), FakeCapture([image(2, (8, 10))], allow=threading.Semaphore(0))
    with Camera("camera:0", opener=devices(first, Absent(), second), reconnect=QUICK) as camera:
        assert camera.newest().image.shape == (4, 6, 3)
        wait_until(lambda: camera.reconnects == 1)
        assert first.released
        second.allow.release()
        estimator = DepthEstimator(FakeBackend())
        assert estimator(camera.newest().image).shape == (8, 10)


def test_a_camera_that_is_gone_is_one_sentence_after_the_attempts_and_a_new_one_works():
    opened = []

    def opener(source):
        opened.append(source)
        return FakeCapture([image(1)]) if len(opened) == 1 else Absent()

    with Camera("camera:0", opener=opener, reconnect=QUICK) as camera:
        assert camera.newest().image[0, 0, 0] == 1
        for _ in range(2):
            with pytest.raises(LightDepthError, match="camera:0 is gone: 3 attempts to open it again failed"):
                camera.newest()
    assert len(opened) == 4
    with Camera("camera:0", opener=devices(FakeCapture([image(7)])), reconnect=QUICK) as camera:
        assert camera.newest().image[0, 0, 0] == 7


def test_a_frame_sets_the_count_of_attempts_back():
    captures = [FakeCapture([image(n)]) for n in range(8)]
    seen = []
    with (
        Camera("camera:0", opener=devices(*captures), reconnect=QUICK) as camera,
        pytest.raises(LightDepthError, match="gone"),
    ):
        seen.extend(frame.image[0, 0, 0] for frame in camera)
    assert camera.reconnects == 7
    assert seen[-1] == 7


def test_a_camera_that_cannot_be_opened_is_told_at_once_without_its_password():
    with pytest.raises(LightDepthError, match="rtsp://robot/front can't be opened") as caught:
        Camera("rtsp://admin:secret@robot/front", opener=lambda _: Absent())
    assert "secret" not in str(caught.value)
    assert without_password("http://u:p@host:80/a@b") == "http://host:80/a@b"


def test_a_driver_that_fails_in_its_own_way_reaches_the_reader():
    class Broken(FakeCapture):
        def read(self):
            raise RuntimeError("USB reset")

    with (
        Camera("camera:0", opener=devices(Broken([])), reconnect=QUICK) as camera,
        pytest.raises(LightDepthError, match="camera:0 failed: USB reset"),
    ):
        camera.newest()


def test_closing_frees_the_device_and_wakes_a_waiting_reader():
    capture = FakeCapture(map(image, range(2)), allow=threading.Semaphore(0))
    camera = Camera("camera:0", opener=devices(capture), reconnect=QUICK)
    errors = []

    def read():
        try:
            camera.newest()
        except LightDepthError as error:
            errors.append(str(error))

    reader = threading.Thread(target=read)
    reader.start()
    threading.Timer(0.05, capture.allow.release).start()
    camera.close()
    reader.join(5)
    assert not reader.is_alive()
    wait_until(lambda: capture.released)
    assert all("closed" in error for error in errors)
    with pytest.raises(LightDepthError, match="was closed"):
        camera.newest()


def test_a_silent_camera_that_is_ended_ends_the_iteration_at_once():
    camera = Camera("camera:0", opener=lambda _: FakeCapture([], threading.Semaphore(0)))
    threading.Timer(0.1, camera.end).start()
    start = time.monotonic()
    assert list(camera) == []
    assert time.monotonic() - start < 2


@pytest.fixture
def interrupts():
    """Take an interrupt as a terminal's program does; a run in the background ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_an_interrupt_ends_the_opening_of_a_silent_address_at_once():
    answered = threading.Event()

    def opener(_):
        answered.wait(5)
        return Absent()

    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    start = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        Camera("rtsp://robot/front", opener=opener)
    assert time.monotonic() - start < 2
    answered.set()


def test_an_opener_that_fails_in_its_own_way_reaches_the_caller():
    def opener(_):
        raise LightDepthError("OpenCV is missing")

    for source in ("camera:0", "rtsp://robot/front"):
        with pytest.raises(LightDepthError, match="OpenCV is missing"):
            Camera(source, opener=opener)
