"""The images of a recording as frames with their stamps, frame ids and camera."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..closing import Closing
from ..errors import LightDepthError
from ..frames.frame import Frame
from .message import NANOSECONDS, calibrated, decode_color
from .recording import ImageMessage, Recording

__all__ = ["RecordedFrame", "RecordingSource"]

END_NS = 2**31 * NANOSECONDS  # ROS 2's stamps count seconds in 32 bits with a sign


@dataclass(frozen=True, eq=False)
class RecordedFrame(Frame):
    """A frame with what a new recording repeats of the old one."""

    received_ns: int = 0  # when the message was recorded
    camera_info: Any | None = None  # Any: rosbags makes the message class when it reads


class RecordingSource(Closing):
    """Iterate over one image topic of a recording, in the order in which it was recorded.

    A damaged message is left out and an error at the end counts them; that the first one can't be decoded is an error
    at once.

    Raises:
        LightDepthError: what `Recording` and `Recording.choose_topic` raise.
    """

    live = False

    def __init__(self, path: Path | str, topic: str | None = None, stem: str | None = None) -> None:
        self._recording = Recording(path)
        self._stem = stem or Path(path).stem
        try:
            self.topic = self._recording.choose_topic(topic)
            self._camera_info = self._recording.camera_info(self.topic)
        except BaseException:
            self.close()
            raise
        self.count: int | None = self._recording.image_topics[self.topic]
        self.fps = self._recording.rate(self.topic)

    def __iter__(self) -> Iterator[RecordedFrame]:
        camera = None if self._camera_info is None else calibrated(self._camera_info)
        damaged, first = 0, ""  # of the errors only a sentence: each would keep its message alive
        seen = 0
        for number, image in enumerate(self._recording.images([self.topic])):
            seen += 1
            try:
                name = f"{self._recording.path}, {self.topic} at {image.name}"
                _check_times(image, name)
                pixels = decode_color(image.message, name)
            except LightDepthError as error:
                if number == 0:
                    raise
                damaged, first = damaged + 1, first or str(error)
                continue
            name = f"{self._stem}_{image.name}" if self.count != 1 else self._stem
            yield RecordedFrame(
                pixels, image.stamp_ns, name, camera, image.frame_id, image.received_ns, self._camera_info
            )
        if self.count is not None and seen < self.count:
            raise LightDepthError(
                f"{self._recording.path} says {self.count} messages on {self.topic}, and {seen} can be found; "
                "its index is damaged, record it again or repair it."
            )
        if damaged:
            raise LightDepthError(f"{damaged} of {self.count} messages were left out; the first: {first}")

    def close(self) -> None:
        """Close the recording."""
        self._recording.close()


def _check_times(image: ImageMessage, name: str) -> None:
    """Refuse a message whose times no recording can repeat: only damage makes such."""
    received_ns = image.received_ns
    if not -END_NS <= image.stamp_ns < END_NS or not isinstance(received_ns, int) or received_ns < 0:
        times = f"stamped {image.stamp_ns} ns and received {received_ns!r} ns"
        raise LightDepthError(f"{name} is damaged: {times}, which no clock says. Leave the message out.")
