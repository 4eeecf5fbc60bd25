"""Colour and depth side by side as one MP4, in real time, under its name only when it is whole."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import PendingOutput, atomic_path
from ..errors import LightDepthError
from ..floor import CameraMount
from ..frames.frame import Frame
from ..images.opencv import import_cv2, quiet_cv2
from ..images.preprocess import resize_rgb
from ..obstacles import find_obstacles
from ..obstacles.draw import draw_obstacles
from ..spec import Intrinsics
from .colorize import Colormap, DepthRange, colorize, depth_range, with_scale
from .encoder import VideoEncoder, open_encoder

__all__ = ["VideoSink"]

LIVE_FPS = 15.0
LONGEST_SIDE = 2048  # of each half: MPEG-4 Part 2 ends at 8191 pixels, players long before
LONGEST_GAP_S = 10.0  # a still picture for longer tells nothing
LEAP_BACK_NS = 1_000_000_000  # less is a message that came late


class VideoSink:
    """Write `colour | depth | scale` as MP4 at a constant rate: H.264 with PyAV, else MPEG-4.

    A frame stands where its stamp says: it is repeated over a gap (for at most ten seconds) and left out where another
    has its place, so that the video runs as fast as the world did. A stamp that is the last one's again, or leaps back,
    tells no time: such a frame follows the one before. All frames are brought to the size of the first, and
    to at most 2048 pixels a side. The colours' range grows with the depths seen and never shrinks, so that nothing
    flickers; `scale` fixes it. With the camera's mount the nearest obstacles are drawn into the colour half.
    """

    def __init__(
        self,
        path: Path,
        fps: float | None = None,
        *,
        colormap: Colormap = "plasma",
        limits: DepthRange | None = None,
        scale: DepthRange | None = None,
        mount: CameraMount | None = None,
    ) -> None:
        self._path, self._fps = path, fps or LIVE_FPS
        self._colormap: Colormap = colormap
        self._mount = mount
        self._limits, self._fixed, self._scale = limits, scale is not None, scale
        self._pending = PendingOutput()
        self._temporary: Path | None = None
        self._writer: VideoEncoder | None = None  # once the first frame tells the size
        self._codec = ""
        self._dropped = self._repeated = 0
        self._size = (0, 0)
        self._first_ns = self._last_ns = self._count = 0

    def write(self, frame: Frame, depth_m: NDArray[np.float32], camera: Intrinsics | None) -> list[Path]:
        """Add one frame; nothing is complete before `close`."""
        writer = self._writer or self._open(frame)
        if self._count and (frame.stamp_ns == self._last_ns or frame.stamp_ns < self._last_ns - LEAP_BACK_NS):
            self._first_ns = frame.stamp_ns - round(self._count / self._fps * 1e9)
        self._last_ns = frame.stamp_ns
        place = round((frame.stamp_ns - self._first_ns) / 1e9 * self._fps)
        longest = self._count + round(LONGEST_GAP_S * self._fps)
        if place > longest:  # a leap of the clock or a long pause: go on from here
            self._first_ns += round((place - longest) / self._fps * 1e9)
            place = longest
        if place < self._count:
            self._dropped += 1
            return []
        image = frame.image
        if self._mount is not None and camera is not None:
            image = draw_obstacles(image, find_obstacles(depth_m, camera, self._mount))
        picture = self._picture(image, depth_m)
        for _ in range(place - self._count):
            writer.write(self._last)
        writer.write(picture)
        self._repeated += place - self._count
        self._last, self._count = picture, place + 1
        return []

    def close(self) -> list[Path]:
        """Finish the video, look whether all frames are in it, and give it its name.

        Raises:
            LightDepthError: the video is not whole, as on a full disk.
        """
        if self._writer is None or self._temporary is None:
            return []
        cv2 = import_cv2()
        self._writer.release()
        with quiet_cv2():
            written = cv2.VideoCapture(str(self._temporary))
            count = round(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
            written.release()
        if count < self._count:  # an interrupt may come between a frame and its count
            self.abort()
            raise LightDepthError(
                f"Can't write {self._path}: {count} of {self._count} frames arrived. Free some space and try again."
            )
        self._writer = None
        self._pending.finish()
        return [self._path]

    def abort(self) -> None:
        """Delete what is unfinished."""
        if self._writer is None:
            return
        self._writer.release()
        self._writer = None
        self._pending.abort()

    def describe(self) -> str:
        """Say what the finished video holds: frames, rate, codec, and how many were left out or repeated."""
        extra = ((self._dropped, "left out"), (self._repeated, "repeated"))
        notes = "".join(f", {count} {word}" for count, word in extra if count)
        return (
            f"{self._path.name}: {self._count} frame{'s' * (self._count != 1)} at {self._fps:g} a second{notes}; "
            f"{self._codec}"
        )

    def _open(self, frame: Frame) -> VideoEncoder:
        height, width = frame.image.shape[:2]
        factor = min(1.0, LONGEST_SIDE / max(height, width))
        self._size = max(1, round(height * factor)), max(1, round(width * factor))
        self._first_ns = frame.stamp_ns
        self._last = self._picture(frame.image, np.ones(frame.image.shape[:2], np.float32))
        self._scale = self._scale if self._fixed else None
        self._temporary = self._pending.open(atomic_path(self._path))
        try:
            self._writer = open_encoder(self._temporary, self._fps, *self._last.shape[:2])
        except LightDepthError:
            self._pending.abort()
            raise
        self._codec = self._writer.codec
        return self._writer

    def _picture(self, image: NDArray[np.uint8], depth_m: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Draw one video frame: BGR (h, w, 3) with even sides, which MPEG-4 needs."""
        cv2 = import_cv2()
        if not self._fixed:
            self._scale = _union(self._scale, depth_range(depth_m, self._limits))
        scale = self._scale or DepthRange(0.0, 1.0)
        colored = resize_rgb(colorize(depth_m, self._colormap, scale), *self._size)
        right = with_scale(colored, self._colormap, scale)
        left = resize_rgb(image, *self._size)
        below, odd = right.shape[0] - left.shape[0], (left.shape[1] + right.shape[1]) % 2
        left = cv2.copyMakeBorder(left, 0, below, odd, 0, cv2.BORDER_CONSTANT, value=(255, 255, 255))
        picture = np.hstack([left, right])
        picture = picture[: max(2, picture.shape[0] // 2 * 2)]
        return cv2.cvtColor(np.ascontiguousarray(picture), cv2.COLOR_RGB2BGR)


def _union(first: DepthRange | None, second: DepthRange) -> DepthRange:
    if first is None:
        return second
    return DepthRange(min(first.near_m, second.near_m), max(first.far_m, second.far_m))
