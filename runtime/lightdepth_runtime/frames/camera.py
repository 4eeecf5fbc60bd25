"""The newest frame of a camera or a network stream: a thread grabs all, what nobody fetched in time is dropped."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..errors import LightDepthError
from ..images.opencv import import_cv2
from .frame import Frame
from .video import Capture, open_capture, read_rgb

__all__ = ["Camera", "Reconnect", "open_camera", "without_password"]

OPEN_TIMEOUT_MS = 10_000  # FFmpeg would wait for 30 s
JOIN_TIMEOUT_S = 2.0
LOOK_INTERVAL_S = 0.1  # between looks whether the stream is to end


@dataclass(frozen=True)
class Reconnect:
    """How long to hold on to a camera that gives no frames."""

    attempts: int = 5  # in a row; a frame that arrives sets the count back
    first_wait_s: float = 0.5  # before the first; each later wait is twice as long
    longest_wait_s: float = 8.0
    stall_s: float = 30.0  # without a frame, though the device neither fails nor ends

    def wait_s(self, attempt: int) -> float:
        """Return the pause before an attempt, counted from 1."""
        return min(self.first_wait_s * 2 ** (attempt - 1), self.longest_wait_s)


def open_camera(source: str) -> Capture:
    """Open `camera:N` or a URL; URLs go through FFmpeg, which gives up after ten seconds of silence."""
    number = re.fullmatch(r"camera:(\d+)", source)
    if number:
        return open_capture(int(number[1]))
    cv2 = import_cv2()
    timeouts = (cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, OPEN_TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, OPEN_TIMEOUT_MS)
    return open_capture(source, timeouts)


def without_password(source: str) -> str:
    """Return a URL without its user and password, to be shown."""
    return re.sub(r"(?<=://)[^/@]*@", "", source)


class Camera(Closing):
    """Give the newest frame of a camera; a slow reader skips frames instead of falling behind.

    A thread reads all the time, so that no driver's queue grows old. `newest` waits for a frame later than the last one
    it gave. Where reading fails the thread opens the device again, as `Reconnect` says, and frames go on after the
    gap; a size that changes is passed on as it comes. Once it gives up, `newest` raises, now and on every later call.
    Stamps are this computer's clock when the frame was read. A URL is taken as endless; `frames.web` tells finite ones.

    Example:
        with Camera("rtsp://robot.local/front") as camera:
            for frame in camera:
                depth_m = estimator(frame.image)

    Args:
        source: `camera:0`, or a URL (rtsp, http ...).
        name: what frames' names begin with; from the source by default.
        reconnect: how often to try again and how long to wait.
        opener: opens the source; tests give a fake.

    Raises:
        LightDepthError: on opening, a camera that can't be opened; later, one that is gone or silent for too long.
    """

    live = True
    count: int | None = None  # of frames; a camera has no end
    fps: float | None = None  # of frames that are fetched: it's the reader who decides

    def __init__(
        self,
        source: str,
        *,
        name: str | None = None,
        reconnect: Reconnect | None = None,
        opener: Callable[[str], Capture] = open_camera,
    ) -> None:
        self.dropped = 0  # frames that came while the reader was busy
        self.reconnects = 0
        self._source, self._shown = source, without_password(source)
        self._name = name or re.sub(r"\W+", "_", self._shown).strip("_")
        self._policy, self._opener = reconnect or Reconnect(), opener
        self._change = threading.Condition()
        self._image: NDArray[np.uint8] | None = None
        self._stamp_ns = 0
        self._given = 0
        self._error: LightDepthError | None = None
        self._ended = False
        self._closing = threading.Event()
        capture = self._open_first()
        if capture is None:
            raise LightDepthError(
                f"{self._shown} can't be opened; check that it is connected, that no other program uses it and that "
                "this user may read it."
            )
        self._thread = threading.Thread(target=self._grab, args=(capture,), name=f"grab {self._shown}", daemon=True)
        self._thread.start()

    def newest(self, timeout_s: float | None = None) -> Frame:
        """Wait for a frame later than the last one given.

        Raises:
            LightDepthError: the camera is gone, closed, or gave nothing for `timeout_s` (by default as long as
                `Reconnect.stall_s`).
        """
        timeout_s = self._policy.stall_s if timeout_s is None else timeout_s
        until = time.monotonic() + timeout_s
        with self._change:
            while self._image is None and self._error is None and not self._ended:
                left_s = until - time.monotonic()
                if left_s <= 0:
                    break
                self._change.wait(min(left_s, LOOK_INTERVAL_S))
            if self._image is not None:
                frame = Frame(self._image, self._stamp_ns, f"{self._name}_{self._given:06d}")
                self._image, self._given = None, self._given + 1
                return frame
            if self._ended and self._error is None:
                raise LightDepthError(f"{self._shown} was ended; open it again.")
            raise self._error or LightDepthError(
                f"{self._shown} gave no frame for {timeout_s:g} s; check the camera and its connection."
            )

    def __iter__(self) -> Iterator[Frame]:
        while not self._ended:
            try:
                frame = self.newest()
            except LightDepthError:
                if self._ended:
                    return
                raise
            yield frame

    def end(self) -> None:
        """End the iteration as if the camera had an end, at once where it is silent; for a signal's handler too."""
        self._ended = True  # no lock: whoever waits looks here ten times a second

    def close(self) -> None:
        """Stop grabbing and free the device; a read that hangs in its driver is left to end by itself."""
        self._closing.set()
        self._fail(LightDepthError(f"{self._shown} was closed; open it again."))
        with self._change:
            self._image = None
        self._thread.join(JOIN_TIMEOUT_S)

    def _open_first(self) -> Capture | None:
        """Open an address in a thread: a silent one takes ten seconds, in which Ctrl-C couldn't end it.

        A device is opened here, since macOS asks for its permission in the main thread alone.
        """
        if "://" not in self._source:
            return self._open()
        found: list[Capture | Exception | None] = []

        def work() -> None:
            try:
                found.append(self._open())
            except Exception as error:  # raised where it is waited for
                found.append(error)

        thread = threading.Thread(target=work, name=f"open {self._shown}", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(LOOK_INTERVAL_S)
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def _open(self) -> Capture | None:
        capture = self._opener(self._source)
        if capture.isOpened():
            return capture
        capture.release()
        return None

    def _grab(self, capture: Capture | None) -> None:
        """Read until closed or out of attempts; the only place that touches the device after opening."""
        failures = 0
        try:
            while not self._closing.is_set():
                image = read_rgb(capture) if capture else None
                if image is not None:
                    failures = 0
                    self._offer(image)
                    continue
                if capture:
                    capture.release()
                    capture = None
                failures += 1
                if failures > self._policy.attempts:
                    tries = f"{self._policy.attempts} attempts to open it again"
                    raise LightDepthError(
                        f"{self._shown} is gone: {tries} failed. Check the camera and its connection."
                    )
                if self._closing.wait(self._policy.wait_s(failures)):
                    return
                capture = self._open()
                self.reconnects += capture is not None
        except LightDepthError as error:
            self._fail(error)
        except Exception as error:  # a driver's own: the reader must learn of it, not wait
            self._fail(LightDepthError(f"{self._shown} failed: {error}. Check the camera and its driver."))
        finally:
            if capture:
                capture.release()

    def _offer(self, image: NDArray[np.uint8]) -> None:
        with self._change:
            if self._closing.is_set():
                return
            self.dropped += self._image is not None
            self._image, self._stamp_ns = image, time.time_ns()
            self._change.notify_all()

    def _fail(self, error: LightDepthError) -> None:
        with self._change:
            self._error = self._error or error
            self._change.notify_all()
