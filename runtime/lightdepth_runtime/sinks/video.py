"""Colour and depth side by side as one MP4, in real time, under its name only when it is whole."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import atomic_path
from ..errors import LightDepthError
from ..frames.frame import DepthFrame
from ..images.opencv import import_cv2, quiet_cv2
from ..images.preprocess import resize_rgb
from ..obstacles import find_obstacles
from ..obstacles.obstacles import draw_obstacles
from .colorize import DepthRange, colorize, depth_range, with_scale
from .encoder import VideoEncoder, open_encoder
from .sink import SpanSink, Style

__all__ = ["VideoSink"]

LIVE_FPS = 15.0
LONGEST_SIDE = 2048  # of each half: MPEG-4 Part 2 ends at 8191 pixels, players long before
LONGEST_GAP_S = 10.0  # a still picture for longer tells nothing
LEAP_BACK_NS = 1_000_000_000  # less is a message that came late


class VideoSink(SpanSink[VideoEncoder]):
    """Write `colour | depth | scale` as MP4 at a constant rate: H.264 with PyAV, else MPEG-4.

    A frame stands where its stamp says: it is repeated over a gap (for at most ten seconds) and left out where another
    has its place, so that the video runs as fast as the world did. A stamp that is the last one's again, or leaps back,
    tells no time: such a frame follows the one before. All frames are brought to the size of the first, and
    to at most 2048 pixels a side. The colours' range grows with the depths seen and never shrinks, so that nothing
    flickers; the style's `scale` fixes it. With its `mount` the nearest obstacles are drawn into the colour half.
    """

    def __init__(self, path: Path, fps: float | None = None, style: Style | None = None) -> None:
        super().__init__(path)
        self._fps, self._style = fps or LIVE_FPS, style or Style()
        self._scale: DepthRange | None = None  # of all frames so far, where the style fixes none
        self._temporary = path
        self._dropped = self._repeated = 0
        self._size = (0, 0)
        self._first_ns = self._last_ns = self._count = 0

    def close(self) -> list[Path]:
        """Finish the video, look whether all frames are in it, and give it its name.

        Raises:
            LightDepthError: the video is not whole, as on a full disk.
        """
        if self._output is None:
            return []
        cv2 = import_cv2()
        self._output.release()
        with quiet_cv2():
            written = cv2.VideoCapture(str(self._temporary))
            count = round(written.get(cv2.CAP_PROP_FRAME_COUNT)) if written.isOpened() else 0
            written.release()
        if count < self._count:  # an interrupt may come between a frame and its count
            self.abort()
            raise LightDepthError(
                f"Can't write {self._path}: {count} of {self._count} frames arrived. Free some space and try again."
            )
        return super().close()

    def describe(self) -> str:
        """Say what the finished video holds: frames, rate, codec, and how many were left out or repeated."""
        extra = ((self._dropped, "left out"), (self._repeated, "repeated"))
        notes = "".join(f", {count} {word}" for count, word in extra if count)
        return (
            f"{self._path.name}: {self._count} frame{'s' * (self._count != 1)} at {self._fps:g} a second{notes}; "
            f"{self._codec}"
        )

    def _open(self, first: DepthFrame, /) -> VideoEncoder:
        height, width = first.depth_m.shape
        factor = min(1.0, LONGEST_SIDE / max(height, width))
        self._size = max(1, round(height * factor)), max(1, round(width * factor))
        self._first_ns = first.frame.stamp_ns
        self._last = self._picture(first)
        self._temporary = self._contexts.enter_context(atomic_path(self._path))
        encoder = open_encoder(self._temporary, self._fps, *self._last.shape[:2])
        self._contexts.callback(encoder.release)
        self._codec = encoder.codec
        return encoder

    def _add(self, output: VideoEncoder, done: DepthFrame) -> None:
        stamp_ns = done.frame.stamp_ns
        if self._count and (stamp_ns == self._last_ns or stamp_ns < self._last_ns - LEAP_BACK_NS):
            self._first_ns = stamp_ns - round(self._count / self._fps * 1e9)
        self._last_ns = stamp_ns
        place = round((stamp_ns - self._first_ns) / 1e9 * self._fps)
        longest = self._count + round(LONGEST_GAP_S * self._fps)
        if place > longest:  # a leap of the clock or a long pause: go on from here
            self._first_ns += round((place - longest) / self._fps * 1e9)
            place = longest
        if place < self._count:
            self._dropped += 1
            return
        picture = self._picture(done)
        for _ in range(place - self._count):
            output.write(self._last)
        output.write(picture)
        self._repeated += place - self._count
        self._last, self._count = picture, place + 1

    def _picture(self, done: DepthFrame) -> NDArray[np.uint8]:
        """Draw one video frame: BGR (h, w, 3) with even sides, which MPEG-4 needs."""
        cv2, style, image = import_cv2(), self._style, done.frame.image
        if style.mount is not None and done.camera is not None:
            image = draw_obstacles(image, find_obstacles(done.depth_m, done.camera, style.mount))
        self._scale = _union(self._scale, style.scale or depth_range(done.depth_m, style.limits))
        colored = resize_rgb(colorize(done.depth_m, style.colormap, self._scale), *self._size)
        right = with_scale(colored, style.colormap, self._scale)
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
