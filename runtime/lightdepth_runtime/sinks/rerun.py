"""Image, depth, camera and points in Rerun: a `.rrd` recording or the live viewer."""

import math
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..atomic import PendingOutput, atomic_path
from ..errors import LightDepthError
from ..frames.frame import Frame
from ..sigma import MAX_SIGMA, without_unsure
from ..spec import Intrinsics
from .points import points_of

__all__ = ["RerunSink"]

MOST_POINTS = 40_000  # of each frame: those of a full camera frame would take 5 MB
JPEG_QUALITY = 85
FIRST_CLOCK_NS = 10**17  # March 1973: no video lasts three years
POINT_RADIUS_UI = 1.5  # in points of the screen, at any distance
CAMERA, IMAGE, DEPTH, POINTS = "world/camera", "world/camera/image", "world/camera/depth", "world/points"


def import_rerun() -> ModuleType:
    """Import Rerun, or say how to install it."""
    try:
        rerun = import_module("rerun")
        import_module("rerun.blueprint")  # not imported by rerun itself in all versions
    except ImportError as error:
        raise LightDepthError("Rerun is missing; install it with: pip install rerun-sdk") from error
    return rerun


class RerunSink:
    """Log each frame on the timeline `time`: image as JPEG, depth in metres, and with a camera pinhole and points.

    The timeline shows dates where stamps are of a clock, and seconds of a video.

    Args:
        path: the `.rrd` to write, under its name only when it is whole; None starts the viewer and sends it there.
        max_sigma: points of pixels with a larger sigma are left out.

    Raises:
        LightDepthError: Rerun is not installed, or its viewer doesn't start.
    """

    wants_sigma = True

    def __init__(self, path: Path | None, *, max_sigma: float = MAX_SIGMA) -> None:
        self._rerun: Any = import_rerun()  # Any: an optional package without types here
        self._path, self._max_sigma = path, max_sigma
        self._pending = PendingOutput()
        self._by_clock: bool | None = None  # stamps count from 1970, and not from the first frame
        self._recording: Any = None  # Any: rerun.RecordingStream, from the first frame on

    def write(
        self,
        frame: Frame,
        depth_m: NDArray[np.float32],
        camera: Intrinsics | None,
        sigma: NDArray[np.float32] | None = None,
    ) -> list[Path]:
        """Log one frame; a `.rrd` is not complete before `close`."""
        rr = self._rerun
        recording = self._recording or self._open()
        if self._by_clock is None:
            self._by_clock = frame.stamp_ns >= FIRST_CLOCK_NS
        if self._by_clock:
            recording.set_time("time", timestamp=np.datetime64(frame.stamp_ns, "ns"))
        else:
            recording.set_time("time", duration=np.timedelta64(frame.stamp_ns, "ns"))
        recording.log(IMAGE, rr.Image(frame.image).compress(jpeg_quality=JPEG_QUALITY))
        recording.log(DEPTH, rr.DepthImage(depth_m, meter=1.0))
        if camera is not None:
            matrix = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
            resolution, axes = [camera.width, camera.height], rr.ViewCoordinates.RDF
            recording.log(CAMERA, rr.Pinhole(image_from_camera=matrix, resolution=resolution, camera_xyz=axes))
            stride = max(1, math.ceil(math.sqrt(depth_m.size / MOST_POINTS)))
            cloud = points_of(without_unsure(depth_m, sigma, self._max_sigma), frame.image, camera, stride)
            radii = rr.Radius.ui_points(POINT_RADIUS_UI)
            recording.log(POINTS, rr.Points3D(cloud.points_m, colors=cloud.colors, radii=radii))
        return []

    def close(self) -> list[Path]:
        """Finish the recording and give it its name."""
        if self._recording is None:
            return []
        self._recording.disconnect()  # flushes, and closes the file
        self._recording = None
        self._pending.finish()
        return [self._path] if self._path else []

    def abort(self) -> None:
        """Delete what is unfinished."""
        if self._recording is None:
            return
        self._recording.disconnect()
        self._recording = None
        self._pending.abort()

    def _open(self) -> Any:  # Any: rerun.RecordingStream
        rr = self._rerun
        recording = rr.RecordingStream("lightdepth")
        try:
            if self._path:
                recording.save(self._pending.open(atomic_path(self._path)))
            else:
                recording.spawn()
        except (OSError, RuntimeError) as error:
            recording.disconnect()
            self._pending.abort()
            raise LightDepthError(f"Rerun can't start ({error}); save to a .rrd file instead.") from error
        recording.send_blueprint(_blueprint(rr.blueprint))
        recording.log("world", rr.ViewCoordinates.RDF, static=True)
        self._recording = recording
        return recording


def _blueprint(rrb: Any) -> Any:  # Any: Rerun's blueprint module and object
    """Lay out points beside image and depth; depth is kept out of space, where the points stand for it."""
    space = rrb.Spatial3DView(origin="world", contents=["+ /**", f"- /{DEPTH}"], name="points")
    image = rrb.Spatial2DView(origin=CAMERA, contents=[f"+ /{IMAGE}"], name="image")
    depth = rrb.Spatial2DView(origin=CAMERA, contents=[f"+ /{DEPTH}"], name="depth")
    return rrb.Blueprint(rrb.Horizontal(space, rrb.Vertical(image, depth), column_shares=[2, 1]))
