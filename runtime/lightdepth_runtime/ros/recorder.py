"""Write depth as a new ROS 2 recording, whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from ..atomic import make_folder
from ..errors import LightDepthError
from ..spec import Intrinsics
from .message import NANOSECONDS, DepthImage
from .recording import CAMERA_INFO_TYPE, MISSING

if TYPE_CHECKING:
    from rosbags.interfaces import Connection
    from rosbags.rosbag2 import Writer
    from rosbags.typesys.store import Typestore

__all__ = ["DEPTH_TOPIC", "INFO_TOPIC", "DepthRecorder", "Storage", "check_free", "record_depth"]

Storage = Literal["mcap", "sqlite3"]
# Beside each other, as image_transport and depth_image_proc expect, and on no topic that a camera publishes.
DEPTH_TOPIC = "/lightdepth/depth"
INFO_TOPIC = "/lightdepth/camera_info"
_IMAGE_TYPE = "sensor_msgs/msg/Image"
_VERSION = 9  # of the recording's metadata: ROS 2 Jazzy; Humble reads the .mcap or .db3 file itself


class DepthRecorder:
    """Adds depth and camera messages to a recording that `record_depth` opened."""

    def __init__(self, writer: Writer, store: Typestore) -> None:
        self._writer, self._store = writer, store
        self._connections: dict[str, Connection] = {}
        self.count = 0

    def write(self, depth: DepthImage, received_ns: int, camera_info: Any | None = None) -> None:
        """Append a depth image, and a CameraInfo with its stamp and frame id.

        Args:
            depth: what `encode_depth` or a DepthHandler gives.
            received_ns: the message's place in time, as in the recording that the image came from.
            camera_info: a CameraInfo of ROS 1 or ROS 2 to repeat, or Intrinsics (Any: whichever library made it).
        """
        types = self._store.types
        header = _header(types, depth)
        if camera_info is not None:
            self._append(INFO_TOPIC, CAMERA_INFO_TYPE, received_ns, _camera_info(types, camera_info, header))
        values = (depth.height, depth.width, depth.encoding, 0, depth.step, depth.data)
        self._append(DEPTH_TOPIC, _IMAGE_TYPE, received_ns, types[_IMAGE_TYPE](header, *values))
        self.count += 1

    def _append(self, topic: str, kind: str, received_ns: int, message: Any) -> None:  # Any: rosbags makes the classes
        if topic not in self._connections:
            self._connections[topic] = self._writer.add_connection(topic, kind, typestore=self._store)
        self._writer.write(self._connections[topic], received_ns, self._store.serialize_cdr(message, kind))


@contextmanager
def record_depth(path: Path | str, storage: Storage = "mcap") -> Iterator[DepthRecorder]:
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
    plugin = StoragePlugin.MCAP if storage == "mcap" else StoragePlugin.SQLITE3
    # The folder's name is inside the recording, in metadata.yaml, so a folder around it is the temporary one.
    with tempfile.TemporaryDirectory(prefix=f".{path.name}.", dir=path.parent) as temporary:
        unfinished = Path(temporary) / path.name
        try:
            with Writer(unfinished, version=_VERSION, storage_plugin=plugin) as writer:
                yield DepthRecorder(writer, get_typestore(Stores.ROS2_HUMBLE))
            check_free(path)
            unfinished.rename(path)
        except OSError as error:
            reason = error.strerror or error
            raise LightDepthError(f"Can't write {path}: {reason}. Choose another output path.") from error


def check_free(path: Path) -> None:
    """Refuse a path where something is."""
    if path.exists():
        raise LightDepthError(f"{path} exists already; a recording is never overwritten. Choose another --output.")


def _header(types: Any, depth: DepthImage) -> Any:  # Any: rosbags makes the message classes
    seconds, nanoseconds = divmod(depth.stamp_ns, NANOSECONDS)
    return types["std_msgs/msg/Header"](types["builtin_interfaces/msg/Time"](seconds, nanoseconds), depth.frame_id)


def _camera_info(types: Any, message: Any, header: Any) -> Any:  # Any: as above
    """Copy a CameraInfo of ROS 1 (capital D, K, R, P) or ROS 2 under a new header, or make one of Intrinsics."""
    if isinstance(message, Intrinsics):
        return _plain_camera_info(types, message, header)
    values = {}
    for field in fields(types[CAMERA_INFO_TYPE]):
        if field.name in ("header", "__msgtype__"):
            continue
        name = field.name if hasattr(message, field.name) else field.name.upper()
        value = getattr(message, name)
        values[field.name] = np.asarray(value, np.float64) if field.name in "dkrp" else value
    roi = message.roi
    names = ("x_offset", "y_offset", "height", "width", "do_rectify")
    values["roi"] = types["sensor_msgs/msg/RegionOfInterest"](*(getattr(roi, name) for name in names))
    return types[CAMERA_INFO_TYPE](header=header, **values)


def _plain_camera_info(types: Any, camera: Intrinsics, header: Any) -> Any:  # Any: as above
    matrix = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
    k, r = np.array(matrix, np.float64), np.eye(3)
    p = np.hstack([k, np.zeros((3, 1))])
    roi = types["sensor_msgs/msg/RegionOfInterest"](0, 0, 0, 0, False)
    size = camera.height, camera.width
    values = ("plumb_bob", np.zeros(5), k.ravel(), r.ravel(), p.ravel(), 0, 0, roi)
    return types[CAMERA_INFO_TYPE](header, *size, *values)
