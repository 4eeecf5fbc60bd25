"""Depth of a stream as a new ROS 2 recording."""

from contextlib import suppress
from pathlib import Path

from ..floor import CameraMount
from ..frames.frame import DepthFrame
from ..sensor_view import CameraMisfitError
from ..sigma import MAX_SIGMA
from ..sinks.sink import SpanSink
from .answer import AnswerOptions, make_answer
from .messages.camera_info import CameraFields
from .messages.image import DepthEncoding
from .recorder import DepthRecorder, check_free, record_depth
from .source import RecordedFrame

__all__ = ["RecordingSink"]


class RecordingSink(SpanSink[DepthRecorder]):
    """Write each frame's depth with the frame's stamp and frame id, its CameraInfo, points, and a scan.

    The scan needs the camera's mount, points any camera. Where the model's sigma is past `max_sigma`, depth and points
    are left out.

    Of a recording's frames the CameraInfo is repeated and the times of recording are kept. Frames from elsewhere, and
    frames whose focal length the user gave, get one from the camera's intrinsics, where they are known.

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
        super().__init__(path)
        self._options = AnswerOptions(encoding, mount=mount, max_sigma=max_sigma)

    def _open(self, _: DepthFrame, /) -> DepthRecorder:
        return self._contexts.enter_context(record_depth(self._path))

    def _add(self, output: DepthRecorder, done: DepthFrame) -> None:
        recorded = done.frame if isinstance(done.frame, RecordedFrame) else None
        fields = None if done.camera is None else CameraFields.of(done.camera)
        if recorded is not None and recorded.camera_info is not None and done.camera in (None, recorded.intrinsics):
            with suppress(CameraMisfitError):  # the source has said it, and gave no camera of its own
                fields = CameraFields.read(recorded.camera_info).resized(*done.depth_m.shape)
        received_ns = done.frame.stamp_ns if recorded is None else recorded.received_ns
        output.write(make_answer(done, self._options, fields), received_ns)
