"""Read images from ROS 1 and ROS 2 recordings, without ROS, with the rosbags library."""

from __future__ import annotations

import re
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..closing import Closing
from ..errors import LightDepthError, nearest_path
from ..pairs.depth_unit import DepthUnit, parse_depth_unit
from .image_camera import info_topics, is_calibrated
from .messages.image import NANOSECONDS, stamp_ns

if TYPE_CHECKING:
    from rosbags.interfaces import Connection

__all__ = ["MISSING", "ImageMessage", "Recording", "is_recording"]

MISSING = "ROS recordings need the rosbags library; install it with: pip install rosbags"
IMAGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
CAMERA_INFO_TYPE = "sensor_msgs/msg/CameraInfo"
FASTEST_FPS = 240.0  # of a camera whose images are recorded
FIRST_INFOS = 1000  # half a minute of a camera's
_STORAGE_SUFFIXES = (".mcap", ".db3")
_NAME = re.compile(r"\.(?:bag|mcap|db3)(\.(?:active|zstd|zst|gz|bz2|xz|lz4|zip))?$", re.IGNORECASE)
_METADATA_KEY = b"rosbag2_bagfile_information"


@dataclass(frozen=True)
class ImageMessage:
    """An image as recorded: the message itself, its header, and when it was received."""

    topic: str
    message: Any  # Any: rosbags makes the message classes when it reads
    stamp_ns: int
    frame_id: str
    received_ns: int

    @property
    def name(self) -> str:
        """Name it in errors and files by its stamp in seconds."""
        return f"{self.stamp_ns // NANOSECONDS}.{self.stamp_ns % NANOSECONDS:09d}"


def is_recording(path: Path) -> bool:
    """Tell a recording by its name: a .bag, .mcap or .db3 file, or a folder with such a file or ROS 2's metadata.

    A compressed or unfinished one (`.db3.zstd`, `.bag.active`) counts too; opening it says what to do.
    """
    if path.is_dir():
        metadata = path / "metadata.yaml"
        if metadata.is_file() and _METADATA_KEY in metadata.read_bytes():
            return True
        return any(_NAME.search(file.name) and not _is_ros1(file) for file in path.iterdir() if file.is_file())
    return _NAME.search(path.name) is not None


def _is_ros1(path: Path) -> bool:
    return ".bag" in (suffix.lower() for suffix in path.suffixes[-2:])


class Recording(Closing):
    """An open recording: a ROS 1 .bag file, or of ROS 2 a folder, an .mcap or a .db3 file.

    Raises:
        LightDepthError: missing, empty, truncated, not a recording, or rosbags is not installed. The same at any
            later moment, since damage in the middle shows only when it is reached.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self._reader: Any  # the readers of ROS 1 and ROS 2 share no base class
        self._reader, self._decode = _open(self.path)
        with _damage_named(self.path):
            self._connections: Sequence[Connection] = tuple(self._reader.connections)

    def close(self) -> None:
        """Close the files; a second call does nothing."""
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def image_topics(self) -> dict[str, int]:
        """The topics with images, raw or compressed, and how many each has."""
        topics = sorted({c.topic for c in self._connections if c.msgtype in IMAGE_TYPES})
        return {topic: sum(c.msgcount for c in self._connections if c.topic == topic) for topic in topics}

    def choose_topic(self, topic: str | None) -> str:
        """Return the image topic asked for, or the only one.

        Raises:
            LightDepthError: no such topic, none at all, one without images, or several to choose from.
        """
        topics = self.image_topics
        listing = ", ".join(f"{name} ({count})" for name, count in topics.items())
        if not topics:
            others = ", ".join(sorted({c.topic for c in self._connections})[:5]) or "nothing"
            raise LightDepthError(f"{self.path} has no image topic (it holds {others}); name another recording.")
        if topic is None and len(topics) > 1:
            raise LightDepthError(f"{self.path} has several image topics: {listing}; choose one with --topic.")
        topic = topic or next(iter(topics))
        if topic not in topics:
            raise LightDepthError(f"{self.path} has no image topic {topic!r}; it has {listing}.")
        if topics[topic] == 0:
            raise LightDepthError(f"{self.path} has no message on {topic}; it has {listing}.")
        return topic

    def rate(self, topic: str) -> float | None:
        """Return how many images a second a topic has on average, by the length of the recording.

        None for one, and where the times of recording are those of a tool that wrote the file all at once.
        """
        with _damage_named(self.path):
            duration_s, count = self._reader.duration / NANOSECONDS, self.image_topics[topic]
        return (count - 1) / duration_s if 1 < count <= duration_s * FASTEST_FPS else None

    def images(self, topics: Sequence[str]) -> Iterator[ImageMessage]:
        """Yield the messages of image topics in the order in which they were recorded."""
        wanted = [c for c in self._connections if c.topic in topics and c.msgtype in IMAGE_TYPES]
        for connection, received_ns, message in self._messages(wanted):
            yield _image_message(connection, received_ns, message)

    def images_with_info(self, topic: str, also: str | None = None) -> Iterator[tuple[ImageMessage, Any | None]]:
        """Yield the messages of an image topic, each with its camera's CameraInfo, or None where there is none.

        It is the calibrated one with the image's stamp, else the latest before it, else the recording's first: drivers
        begin with zeros, and cameras that zoom change it. (Any: as above.)

        Args:
            topic: the images; each topic's come in the order in which they were recorded.
            also: a second image topic, whose messages are yielded too, without a CameraInfo.
        """
        wanted = [c for c in self._connections if c.topic in (topic, also) and c.msgtype in IMAGE_TYPES]
        latest = self.camera_info(topic)
        waiting: tuple[ImageMessage, Any | None] | None = None  # its CameraInfo may come behind it
        for connection, received_ns, message in self._messages([*wanted, *self._info_connections(topic)]):
            if connection.msgtype == CAMERA_INFO_TYPE:
                latest = message if is_calibrated(message) else latest
                if waiting and latest is message and waiting[0].stamp_ns == stamp_ns(message):
                    waiting = waiting[0], message
                continue
            image = _image_message(connection, received_ns, message)
            if connection.topic != topic:
                yield image, None
                continue
            if waiting:
                yield waiting
            waiting = image, latest
        if waiting:
            yield waiting

    def camera_info(self, topic: str) -> Any | None:  # Any: as above
        """Return the first calibrated CameraInfo of the camera that an image topic belongs to, or None.

        `camera_info.info_topics` says where it stands. It is looked for among the first thousand messages.
        """
        for _, _, message in islice(self._messages(self._info_connections(topic)), FIRST_INFOS):
            if is_calibrated(message):
                return message
        return None

    def depth_unit(self, topic: str) -> DepthUnit | None:
        """Return the unit that librealsense recorded for a depth topic, None where it didn't.

        `/device_0/sensor_0/option/Depth_Units/value` holds the metres of a stored 1: 0.001 mostly, 0.00025 of the L515.
        """
        sensor = re.match(r"/device_\d+/sensor_\d+/", topic)
        names = {f"{sensor[0]}option/{option}/value" for option in ("Depth_Units", "Depth Units")} if sensor else set()
        for _, _, message in self._messages([c for c in self._connections if c.topic in names]):
            unit_m = float(getattr(message, "data", 0))
            if 0 < unit_m < 1:
                return parse_depth_unit(1 / unit_m)
        return None

    def _info_connections(self, topic: str) -> list[Connection]:
        for name in info_topics(topic):
            found = [c for c in self._connections if c.topic == name and c.msgtype == CAMERA_INFO_TYPE and c.msgcount]
            if found:
                return found
        return []

    def _messages(self, connections: Sequence[Connection]) -> Iterator[tuple[Connection, int, Any]]:
        if not connections:  # rosbags takes none for all
            return
        found = self._reader.messages(connections)
        while True:
            with _damage_named(self.path):
                item = next(found, None)
                if item is None:
                    return
                connection, received_ns, content = item
                message = self._decode(content, connection.msgtype)
            yield connection, received_ns, message


def _image_message(connection: Connection, received_ns: int, message: Any) -> ImageMessage:  # Any: as above
    return ImageMessage(connection.topic, message, stamp_ns(message), str(message.header.frame_id), received_ns)


def _open(path: Path) -> tuple[Any, Callable[..., Any]]:  # Any: the readers of ROS 1 and ROS 2 share no base class
    """Return the opened reader, and what decodes a message of a type.

    rosbags' AnyReader takes any path that ends in .bag for ROS 1, folders too; here a folder is ROS 2.
    """
    try:
        from rosbags.rosbag1 import Reader as Ros1Reader
        from rosbags.rosbag2 import Reader as Ros2Reader
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise LightDepthError(MISSING) from error
    if not path.exists():
        raise LightDepthError(f"No recording at {path}{nearest_path(path)}; name one that exists.")
    if not is_recording(path):
        raise LightDepthError(
            f"{path} is not a ROS recording; name a .bag, .mcap or .db3 file, or a folder with a metadata.yaml."
        )
    files = [path]
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _STORAGE_SUFFIXES and file.is_file())
    for file in files:
        if file.stat().st_size == 0:
            raise LightDepthError(f"{file} is empty (0 bytes). Copy the recording again or leave it out.")
    if path.is_dir() and not (path / "metadata.yaml").is_file():
        way = (
            f", or name the file {files[0].name}" if files else "; its files are compressed, which only that file tells"
        )
        raise LightDepthError(f"{path} has no metadata.yaml; make one with `ros2 bag reindex {path}`{way}.")
    if path.is_file():
        _check_readable(path)
    is_ros2 = path.is_dir() or path.suffix.lower() != ".bag"
    # These messages are the same in all distributions of ROS 1, and of ROS 2 since its third.
    store = get_typestore(Stores.ROS2_HUMBLE if is_ros2 else Stores.ROS1_NOETIC)
    with _damage_named(path):
        reader = Ros2Reader(path) if is_ros2 else Ros1Reader(path)
        reader.open()
    return reader, store.deserialize_cdr if is_ros2 else store.deserialize_ros1


def _check_readable(path: Path) -> None:
    """Refuse a file that is unfinished or compressed as a whole."""
    found = _NAME.search(path.name)
    ending = found[1].lower() if found and found[1] else None
    if ending == ".active":
        whole = path.with_suffix("").name
        if whole.lower().endswith(".mcap"):
            repair = f"`mcap recover {path.name} -o {whole}` and name {whole}"
        else:
            repair = f"`rosbag reindex {path.name}` and name the .bag file that you rename it to"
        raise LightDepthError(
            f"{path} is still being recorded, or its recorder was killed; end the recorder, or run {repair}."
        )
    if ending in (".zstd", ".zst"):
        raise LightDepthError(
            f"{path} is one compressed file of a recording; name its folder, where metadata.yaml says how it was "
            f"compressed, or decompress it with `zstd -d {path.name}`."
        )
    if ending:
        raise LightDepthError(f"{path} is a compressed recording; decompress it first and name the result.")


@contextmanager
def _damage_named(path: Path) -> Generator[None, None, None]:
    """Say an error of the parsers, which stumble in their own ways over damaged data, in one way."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
        raise LightDepthError(
            f"{path} can't be read as a ROS recording, it is damaged or was cut off ({reason}). Copy it again, or "
            "repair it with `ros2 bag reindex`, `mcap recover` or `rosbag reindex`."
        ) from error
