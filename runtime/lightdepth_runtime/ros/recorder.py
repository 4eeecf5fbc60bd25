"""Write depth as a new ROS 2 recording, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..atomic import make_folder, naming_output
from ..errors import LightDepthError
from .answer import RobotAnswer
from .messages.build import TOPICS, MessageBuilder
from .recording import MISSING

if TYPE_CHECKING:
    from rosbags.interfaces import Connection, Qos
    from rosbags.rosbag2 import Writer
    from rosbags.typesys.store import Typestore

__all__ = ["NAMESPACE", "DepthRecorder", "check_free", "record_depth"]

NAMESPACE = "/lightdepth"  # the ROS 2 node's too, so that a recording is what the node would have published
_TRANSFORMS = "tf2_msgs/msg/TFMessage"
_VERSION = 9  # of the recording's metadata: ROS 2 Jazzy; Humble reads the .mcap or .db3 file itself


class DepthRecorder:
    """Adds depth and camera messages to a recording that `record_depth` opened."""

    def __init__(self, writer: Writer, store: Typestore) -> None:
        self._writer, self._store = writer, store
        self._build = MessageBuilder(store.types.__getitem__)
        self._connections: dict[str, Connection] = {}
        self._placed: set[str] = set()  # cameras whose level frame is written
        self.count = 0

    def write(self, answer: RobotAnswer, received_ns: int) -> None:
        """Append what is published of a frame, each message with the frame's stamp.

        Args:
            answer: what `make_answer` or a DepthHandler gives.
            received_ns: the messages' place in time, as in the recording that the image came from.
        """
        level = answer.level
        if level is not None and answer.frame_id and answer.frame_id not in self._placed:
            self._placed.add(answer.frame_id)
            transform = self._build.level_transform(level, answer.stamp_ns, answer.frame_id)
            message = self._store.types[_TRANSFORMS](transforms=[transform])
            self._append("/tf_static", _TRANSFORMS, received_ns, message, static=True)
        for topic, build in self._build.parts(answer):
            self._append(f"{NAMESPACE}/{topic}", TOPICS[topic], received_ns, build())
        self.count += 1

    def _append(self, topic: str, kind: str, received_ns: int, message: Any, *, static: bool = False) -> None:
        if topic not in self._connections:  # Any: rosbags makes the classes
            profiles = _static_qos() if static else ()
            self._connections[topic] = self._writer.add_connection(
                topic, kind, typestore=self._store, offered_qos_profiles=profiles
            )
        self._writer.write(self._connections[topic], received_ns, self._store.serialize_cdr(message, kind))


@contextmanager
def record_depth(path: Path | str) -> Generator[DepthRecorder, None, None]:
    """Open a new ROS 2 recording, a folder; it appears under its name once it is complete, and not at all on an error.

    Raises:
        LightDepthError: something is there already, the folder can't be written, or rosbags is not installed.
    """
    try:
        from rosbags.rosbag2 import StoragePlugin, Writer
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise LightDepthError(MISSING) from error
    path = Path(path)
    check_free(path)
    make_folder(path.parent)
    # The folder's name is inside the recording, in metadata.yaml, so a folder around it is the temporary one.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        unfinished = Path(temporary) / path.name
        with naming_output(path, Path(temporary)):
            with Writer(unfinished, version=_VERSION, storage_plugin=StoragePlugin.MCAP) as writer:
                yield DepthRecorder(writer, get_typestore(Stores.ROS2_HUMBLE))
            check_free(path)
            unfinished.rename(path)


def check_free(path: Path) -> None:
    """Refuse a path where something is."""
    if path.exists():
        raise LightDepthError(f"{path} exists already; a recording is never overwritten. Choose another --output.")


def _static_qos() -> list[Qos]:
    """Return what a static transform is offered with: whoever comes later gets it too."""
    from rosbags.interfaces import Qos, QosDurability, QosHistory, QosLiveliness, QosReliability, QosTime

    forever = QosTime(2147483647, 4294967295)
    return [
        Qos(
            history=QosHistory.KEEP_LAST,
            depth=1,
            reliability=QosReliability.RELIABLE,
            durability=QosDurability.TRANSIENT_LOCAL,
            deadline=forever,
            lifespan=forever,
            liveliness=QosLiveliness.AUTOMATIC,
            liveliness_lease_duration=forever,
            avoid_ros_namespace_conventions=False,
        )
    ]
