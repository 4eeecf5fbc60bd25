"""Frames of a video file, in order, each with its time in the video."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..closing import Closing
from ..errors import LightDepthError
from ..images.opencv import import_cv2, quiet_cv2
from ..images.preprocess import as_rgb
from .frame import Frame

__all__ = ["VIDEO_SUFFIXES", "Capture", "VideoFile", "open_capture", "read_rgb"]

VIDEO_SUFFIXES = frozenset({".mp4", ".m4v", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".mjpeg", ".wmv", ".ts"})
# Containers round their count of frames, and the last may be incomplete in a sound file.
FRAMES_THAT_MAY_MISS = 2
SHARE_THAT_MAY_MISS = 0.05
DEFAULT_FPS = 25.0
FASTEST_FPS = 1000.0


class Capture(Protocol):
    """What is used of `cv2.VideoCapture`; tests give their own."""

    def isOpened(self) -> bool:  # noqa: N802  (OpenCV's names)
        """Tell whether frames can be read."""
        ...

    def read(self) -> tuple[bool, Any]:  # Any: a BGR array, or None without success
        """Return success and the next frame."""
        ...

    def get(self, prop: int, /) -> float:
        """Return a `cv2.CAP_PROP_...` value; 0 or -1 where unknown."""
        ...

    def release(self) -> None:
        """Free the device or file."""
        ...


def open_capture(source: str | int, parameters: tuple[int, ...] = ()) -> Capture:
    """Open a file, a device number or a URL with OpenCV, without FFmpeg's lines on standard error.

    `parameters` are pairs of `cv2.CAP_PROP_...` and value, for FFmpeg alone.
    """
    cv2 = import_cv2()
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET: OpenCV reads it at the first open
    with quiet_cv2():
        if parameters:
            return cv2.VideoCapture(source, cv2.CAP_FFMPEG, list(parameters))
        return cv2.VideoCapture(source)


def read_rgb(capture: Capture) -> NDArray[np.uint8] | None:
    """Read the next frame as RGB (H, W, 3); None where there is none.

    Raises:
        LightDepthError: an array that is no image.
    """
    done, image = capture.read()
    return as_rgb(image, "bgr") if done and image is not None else None


class VideoFile(Closing):
    """Read a video file as frames; stamps count from the beginning.

    Where the picture's size changes within a file, OpenCV brings all frames to the size of the first. `fps` and `count`
    are what the container says, `count` None where it doesn't. A file that ends early gives the frames it has and then
    raises: decoders report damage no other way.

    Args:
        path: the file, or a URL of a video that has an end.
        name: what frames' names begin with; by default the file's.
        opener: opens it; tests give a fake.
        shown: what errors call it; by default `path`.

    Example:
        with VideoFile("clip.mp4") as video:
            for frame in video:
                depth_m = estimator(frame.image)

    Raises:
        LightDepthError: on opening, a file that is missing, empty or no video; while reading, one that ends before the
            number of frames its header announces.
    """

    live = False

    def __init__(
        self,
        path: Path | str,
        name: str | None = None,
        opener: Callable[[str], Capture] = open_capture,
        *,
        shown: str | None = None,
    ) -> None:
        source = str(path)
        self._path, self._name = shown or source, name or Path(source).stem
        if "://" not in source:
            _check_file(Path(source), self._path)
        cv2 = import_cv2()
        self._capture = opener(source)
        if not self._capture.isOpened():
            self._capture.release()
            raise LightDepthError(
                f"{self._path} can't be opened as a video: it is damaged, cut off before its index, or of a kind that "
                "OpenCV can't decode. Copy it again or convert it to H.264 MP4."
            )
        fps, count = self._capture.get(cv2.CAP_PROP_FPS), self._capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps: float | None = fps if 0 < fps <= FASTEST_FPS else DEFAULT_FPS
        self.count: int | None = int(count) if count > 0 else None

    def __iter__(self) -> Iterator[Frame]:
        cv2 = import_cv2()
        number, last_ns = 0, -1
        while True:
            image = read_rgb(self._capture)
            if image is None:
                break
            stamp_ns = round(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
            if stamp_ns <= last_ns:  # unknown to this decoder
                stamp_ns = last_ns + round(1e9 / (self.fps or DEFAULT_FPS)) if number else 0
            last_ns = stamp_ns
            yield Frame(image, stamp_ns, f"{self._name}_{number:06d}")
            number += 1
        self._check_end(number)

    def _check_end(self, read: int) -> None:
        if read == 0:
            raise LightDepthError(f"{self._path} has no frame that can be decoded. Copy it again or convert it.")
        missing = (self.count or 0) - read
        if missing > max(FRAMES_THAT_MAY_MISS, SHARE_THAT_MAY_MISS * (self.count or 0)):
            raise LightDepthError(
                f"{self._path} ends after {read} of {self.count} frames: it is truncated or damaged. The frames before "
                "were used; copy the file again for the rest."
            )

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


def _check_file(path: Path, shown: str) -> None:
    try:
        size_bytes = path.stat().st_size
    except OSError as error:
        raise LightDepthError(f"Can't read {shown}: {error.strerror or error}.") from error
    if size_bytes == 0:
        raise LightDepthError(f"{shown} is empty (0 bytes). Replace the file or leave it out.")
