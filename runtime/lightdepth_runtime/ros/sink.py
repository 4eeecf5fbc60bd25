"""Depth of a stream as a new ROS 2 recording."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import PendingOutput
from ..frames.frame import Frame
from ..spec import Intrinsics
from .message import DepthEncoding, encode_depth
from .recorder import DepthRecorder, check_free, record_depth
from .source import RecordedFrame

__all__ = ["RecordingSink"]


class RecordingSink:
    """Write each frame's depth with the frame's stamp and frame id, and its CameraInfo.

    Of a recording's frames the CameraInfo is repeated and the times of recording are kept; frames from elsewhere get
    one from the camera's intrinsics, where they are known.

    Raises:
        LightDepthError: something is at `path` already, or rosbags is not installed.
    """

    def __init__(self, path: Path, encoding: DepthEncoding = "32FC1") -> None:
        check_free(path)
        self._path = path
        self._encoding: DepthEncoding = encoding
        self._pending = PendingOutput()
        self._recorder: DepthRecorder | None = None

    def write(self, frame: Frame, depth_m: NDArray[np.float32], camera: Intrinsics | None) -> list[Path]:
        """Add one frame; nothing is complete before `close`."""
        if self._recorder is None:
            self._recorder = self._pending.open(record_depth(self._path))
        depth = encode_depth(depth_m, frame.stamp_ns, frame.frame_id, self._encoding)
        if isinstance(frame, RecordedFrame):
            self._recorder.write(depth, frame.received_ns, frame.camera_info)
        else:
            self._recorder.write(depth, frame.stamp_ns, camera)
        return []

    def close(self) -> list[Path]:
        """Finish the recording and give it its name."""
        if self._recorder is None:
            return []
        self._recorder = None
        self._pending.finish()
        return [self._path]

    def abort(self) -> None:
        """Delete what is unfinished."""
        self._recorder = None
        self._pending.abort()
