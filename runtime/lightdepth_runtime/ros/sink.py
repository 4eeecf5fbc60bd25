"""Depth of a stream as a new ROS 2 recording."""

from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import PendingOutput
from ..floor import CameraMount
from ..frames.frame import Frame
from ..sensor_view import CameraMisfitError
from ..sigma import MAX_SIGMA
from ..spec import Intrinsics
from .answer import AnswerOptions, make_answer
from .messages.camera_info import CameraFields
from .messages.image import DepthEncoding
from .recorder import DepthRecorder, check_free, record_depth
from .source import RecordedFrame

__all__ = ["RecordingSink"]


class RecordingSink:
    """Write each frame's depth with the frame's stamp and frame id, its CameraInfo, points, and a scan.

    The scan needs the camera's mount, points any camera. Where the model's sigma is past `max_sigma`, depth and points
    are left out.

    Of a recording's frames the CameraInfo is repeated and the times of recording are kept; frames from elsewhere get
    one from the camera's intrinsics, where they are known.

    Raises:
        LightDepthError: something is at `path` already, or rosbags is not installed.
    """

    wants_sigma = True

    def __init__(
        self,
        path: Path,
        encoding: DepthEncoding = "32FC1",
        mount: CameraMount | None = None,
        *,
        max_sigma: float = MAX_SIGMA,
    ) -> None:
        check_free(path)
        self._path = path
        self._options = AnswerOptions(encoding, mount=mount, max_sigma=max_sigma)
        self._pending = PendingOutput()
        self._recorder: DepthRecorder | None = None

    def write(
        self,
        frame: Frame,
        depth_m: NDArray[np.float32],
        camera: Intrinsics | None,
        sigma: NDArray[np.float32] | None = None,
    ) -> list[Path]:
        """Add one frame, with its confidence where the model's sigma (H, W) is known; complete after `close`."""
        if self._recorder is None:
            self._recorder = self._pending.open(record_depth(self._path))
        recorded = frame if isinstance(frame, RecordedFrame) else None
        info = recorded.camera_info if recorded else None
        fields = None if camera is None else CameraFields.of(camera)
        if info is not None:
            with suppress(CameraMisfitError):  # the source has said it, and gave no camera of its own
                fields = CameraFields.read(info).resized(*depth_m.shape)
        answer = make_answer(
            depth_m,
            frame.image,
            frame.stamp_ns,
            frame.frame_id,
            self._options,
            camera=fields,
            intrinsics=camera,
            sigma=sigma,
        )
        self._recorder.write(answer, recorded.received_ns if recorded else frame.stamp_ns)
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
