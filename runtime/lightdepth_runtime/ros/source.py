"""The images of a recording as frames with their stamps, frame ids and camera."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Literal

from ..closing import Closing
from ..errors import LightDepthError
from ..frames.frame import Frame
from ..sensor_view import CameraMisfitError
from ..spec import Intrinsics
from .image_camera import camera_of, is_rectified
from .messages.image import NANOSECONDS, color_bits, decode_color
from .recording import ImageMessage, Recording

__all__ = ["Clock", "RecordedFrame", "RecordingSource", "header_clock_runs"]

Clock = Literal["auto", "header", "recorded"]  # which one says when an image was taken

END_NS = 2**31 * NANOSECONDS  # ROS 2's stamps count seconds in 32 bits with a sign
MOST_FAULTS = 0.1  # of the stamps: a message that was recorded twice is no broken clock
FIRST_IMAGES = 5  # that show whether the header's clock runs, and how many bits of 16 are in use


@dataclass(frozen=True, eq=False)
class RecordedFrame(Frame):
    """A frame with what a new recording repeats of the old one."""

    received_ns: int = 0  # when the message was recorded
    camera_info: Any | None = None  # None too where it isn't this image's; Any: rosbags makes the message class


def header_clock_runs(stamps_ns: Sequence[int]) -> bool:
    """Tell whether the stamps of one topic's headers tell its images apart: set, and hardly any of them twice."""
    unset = sum(stamp <= 0 for stamp in stamps_ns)
    repeated = len(stamps_ns) - len(set(stamps_ns))
    return max(unset, repeated) <= MOST_FAULTS * len(stamps_ns)


class RecordingSource(Closing):
    """Iterate over one image topic of a recording, in the order in which it was recorded.

    A frame's time is its header's stamp. Where the driver leaves that unset or always the same, it is the time of
    recording. A frame's camera is that of the CameraInfo with its stamp, else of the latest one before it, cut and
    scaled to the frame as the message says. 16-bit frames are brightened by one rule for all, that of the most bits
    used so far.

    A damaged message is left out and an error at the end counts them; that the first one can't be decoded is an error
    at once.

    Args:
        path: the recording.
        topic: its image topic; may be left out where there is only one.
        stem: what frames' names begin with; by default the recording's name.
        say: told once of a broken clock, and of a camera that isn't these images'.

    Raises:
        LightDepthError: what `Recording` and `Recording.choose_topic` raise.
    """

    live = False

    def __init__(
        self,
        path: Path | str,
        topic: str | None = None,
        stem: str | None = None,
        *,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._recording = Recording(path)
        self._stem = stem or Path(path).stem
        self._say_once = cache(say)  # a text that was said already is a call that was made already
        try:
            self.topic = self._recording.choose_topic(topic)
        except BaseException:
            self.close()
            raise
        self.count = self._recording.image_topics[self.topic]
        self.fps = self._recording.rate(self.topic)

    def __iter__(self) -> Iterator[RecordedFrame]:
        damaged, first = 0, ""  # of the errors only a sentence: each would keep its message alive
        seen, latest_ns, bits = 0, -1, 8
        messages = self._recording.images_with_info(self.topic)
        begin: list[tuple[ImageMessage, Any]] = []
        ended: LightDepthError | None = None  # damage among the first messages; its turn comes after them
        try:
            for item in islice(messages, FIRST_IMAGES):
                begin.append(item)
        except LightDepthError as error:
            ended = error
        by_header = header_clock_runs([image.stamp_ns for image, _ in begin])
        if begin and not by_header:
            self._say_once("Stamps of the images' headers are unset or repeated; the times of recording are used.")
        for image, _ in begin[1:]:  # the first is decoded first, whose error ends it
            with suppress(LightDepthError):  # reported when its turn comes
                bits = color_bits(image.message, least=bits)
        for number, (image, info) in enumerate(chain(begin, messages)):
            seen += 1
            try:
                name = f"{self._recording.path}, {self.topic} at {image.name}"
                _check_times(image, name)
                bits = color_bits(image.message, name, least=bits)
                pixels = decode_color(image.message, name, bits=bits)
            except LightDepthError as error:
                if number == 0:
                    raise
                damaged, first = damaged + 1, first or str(error)
                continue
            if not by_header or image.stamp_ns <= 0:
                image = replace(image, stamp_ns=image.received_ns)
            # A stamp later than all before has not been a name yet; any other is made unique by the frame's number.
            name = f"{self._stem}_{image.name}" if self.count != 1 else self._stem
            if image.stamp_ns <= latest_ns:
                name = f"{name}-{number:06d}"
            latest_ns = max(latest_ns, image.stamp_ns)
            camera = None if info is None else self._camera(info, pixels.shape[1], pixels.shape[0])
            info = None if camera is None else info  # what isn't this image's camera is not to be repeated
            yield RecordedFrame(pixels, image.stamp_ns, name, camera, image.frame_id, image.received_ns, info)
        if ended is not None:
            raise ended
        if seen < self.count:
            raise LightDepthError(
                f"{self._recording.path} says {self.count} messages on {self.topic}, and {seen} can be found; "
                "its index is damaged, record it again or repair it."
            )
        if damaged:
            raise LightDepthError(f"{damaged} of {self.count} messages were left out; the first: {first}")

    def close(self) -> None:
        """Close the recording."""
        self._recording.close()

    def _camera(self, info: Any, width: int, height: int) -> Intrinsics | None:  # Any: as above
        try:
            return camera_of(info, width, height, rectified=is_rectified(self.topic))
        except CameraMisfitError as error:
            self._say_once(f"{self._recording.path}, {self.topic}: {error}")
            return None


def _check_times(image: ImageMessage, name: str) -> None:
    """Refuse a message whose times no recording can repeat: only damage makes such."""
    received_ns = image.received_ns
    if not -END_NS <= image.stamp_ns < END_NS or not isinstance(received_ns, int) or received_ns < 0:
        times = f"stamped {image.stamp_ns} ns and received {received_ns!r} ns"
        raise LightDepthError(f"{name} is damaged: {times}, which no clock says. Leave the message out.")
