"""Which inputs are streams of frames - videos, cameras, network streams, recordings - and how each is opened."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from ..errors import LightDepthError, nearest_path
from ..frames.camera import Camera, without_password
from ..frames.video import VIDEO_SUFFIXES, VideoFile
from ..frames.web import WebPicture, file_name_of, open_web
from ..ros import RecordingSource, is_recording
from .inputs import distinct_stems

__all__ = ["FrameSource", "StreamJob", "is_stream", "open_stream", "plan_streams"]

LIVE = re.compile(r"camera:\d+|(?i:rtsp|rtsps|rtmp|http|https|udp|tcp)://.+")  # or behind the web: what may end
WEB = re.compile(r"https?://", re.IGNORECASE)


# Iterated once, and closed at the end of its `with` block. `live` ones never end by themselves; `count` is how many
# frames there will be and `fps` how many a second, where that is known.
FrameSource = Camera | VideoFile | WebPicture | RecordingSource


@dataclass(frozen=True)
class StreamJob:
    """One stream and the name its outputs begin with."""

    source: str  # as `open_stream` takes it
    stem: str
    topic: str | None = None  # of a recording

    @property
    def is_recording(self) -> bool:
        """Tell whether the stream is a ROS recording."""
        return is_recording(Path(self.source))

    @property
    def shown(self) -> str:
        """The source without a password."""
        return without_password(self.source)


def is_stream(text: str) -> bool:
    """Tell whether an input is a stream and not an image or a folder of images."""
    if LIVE.fullmatch(text):
        return True
    return Path(text).suffix.lower() in VIDEO_SUFFIXES or is_recording(Path(text))


def plan_streams(inputs: Sequence[str], topic: str | None = None) -> list[StreamJob]:
    """Name the outputs of each stream; equal names of several folders are told apart as `inputs.plan_jobs` does.

    Raises:
        LightDepthError: a video file that doesn't exist.
    """
    inputs = list(dict.fromkeys(inputs))
    paths = [_named(text) for text in inputs]
    for text, path in zip(inputs, paths, strict=True):
        if not LIVE.fullmatch(text) and not path.exists():
            noun = "recording" if is_recording(path) else "video"
            raise LightDepthError(f"No {noun} at {text}{nearest_path(Path(text))}; name one that exists.")
    jobs = [StreamJob(text, stem, topic) for text, stem in zip(inputs, distinct_stems(paths), strict=True)]
    if topic is not None and not any(job.is_recording for job in jobs):
        raise LightDepthError(f"--topic {topic} chooses images of a ROS recording, and no input is one; leave it out.")
    return jobs


def open_stream(job: StreamJob, say: Callable[[str], None] = lambda _: None) -> FrameSource:
    """Open a stream; `say` is told what of it is not as it should be.

    Raises:
        LightDepthError: it can't be opened.
    """
    if WEB.match(job.source):
        if job.is_recording:
            raise LightDepthError(f"{job.shown} is a recording, which is read from a disk; fetch it and name the file.")
        return open_web(job.source, job.stem)
    if LIVE.fullmatch(job.source):
        return Camera(job.source, name=job.stem)
    if job.is_recording:
        return RecordingSource(job.source, job.topic, job.stem, say=say)
    return VideoFile(job.source, job.stem)


def _named(text: str) -> Path:
    """Return the path whose stem names a stream: of a camera or URL a made-up one, or the file that it names."""
    file = file_name_of(text) if WEB.match(text) else None
    if file is not None:
        return Path("/", re.sub(r"\W+", "_", urlsplit(text).hostname or "web"), file.replace("/", "_"))
    if LIVE.fullmatch(text):
        return Path("/", re.sub(r"\W+", "_", without_password(text)).strip("_"))
    return Path(text).absolute()
