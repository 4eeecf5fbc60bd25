"""Image, depth, camera and points in Rerun: a `.rrd` recording or the live viewer."""

import math
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from ..atomic import atomic_path
from ..errors import LightDepthError
from ..frames.frame import DepthFrame
from ..sigma import MAX_SIGMA, without_unsure
from .points import points_of
from .sink import SpanSink

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


class RerunSink(SpanSink[Any]):  # Any: a rerun.RecordingStream, of an optional package
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
        super().__init__(path or Path("viewer"))
        self._is_live = path is None
        self._rerun: Any = import_rerun()  # Any: an optional package without types here
        self._max_sigma = max_sigma
        self._by_clock = False  # stamps count from 1970, and not from the first frame

    def close(self) -> list[Path]:
        """Finish the recording and give it its name; the viewer has none."""
        written = super().close()
        return [] if self._is_live else written

    def _open(self, first: DepthFrame, /) -> Any:  # Any: a rerun.RecordingStream
        rr = self._rerun
        self._by_clock = first.frame.stamp_ns >= FIRST_CLOCK_NS
        recording = rr.RecordingStream("lightdepth")
        temporary = None if self._is_live else self._contexts.enter_context(atomic_path(self._path))
        self._contexts.callback(recording.disconnect)  # flushes, and closes the file
        try:
            if temporary is None:
                recording.spawn()
            else:
                recording.save(temporary)
        except (OSError, RuntimeError) as error:
            raise LightDepthError(f"Rerun can't start ({error}); save to a .rrd file instead.") from error
        recording.send_blueprint(_blueprint(rr.blueprint))
        recording.log("world", rr.ViewCoordinates.RDF, static=True)
        return recording

    def _add(self, output: Any, done: DepthFrame) -> None:  # Any: as above
        rr, image, camera = self._rerun, done.frame.image, done.camera
        if self._by_clock:
            output.set_time("time", timestamp=np.datetime64(done.frame.stamp_ns, "ns"))
        else:
            output.set_time("time", duration=np.timedelta64(done.frame.stamp_ns, "ns"))
        output.log(IMAGE, rr.Image(image).compress(jpeg_quality=JPEG_QUALITY))
        output.log(DEPTH, rr.DepthImage(done.depth_m, meter=1.0))
        if camera is not None:
            matrix = [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]
            resolution, axes = [camera.width, camera.height], rr.ViewCoordinates.RDF
            output.log(CAMERA, rr.Pinhole(image_from_camera=matrix, resolution=resolution, camera_xyz=axes))
            stride = max(1, math.ceil(math.sqrt(done.depth_m.size / MOST_POINTS)))
            cloud = points_of(without_unsure(done.depth_m, done.sigma, self._max_sigma), image, camera, stride)
            radii = rr.Radius.ui_points(POINT_RADIUS_UI)
            output.log(POINTS, rr.Points3D(cloud.points_m, colors=cloud.colors, radii=radii))


def _blueprint(rrb: Any) -> Any:  # Any: Rerun's blueprint module and object
    """Lay out points beside image and depth; depth is kept out of space, where the points stand for it."""
    space = rrb.Spatial3DView(origin="world", contents=["+ /**", f"- /{DEPTH}"], name="points")
    image = rrb.Spatial2DView(origin=CAMERA, contents=[f"+ /{IMAGE}"], name="image")
    depth = rrb.Spatial2DView(origin=CAMERA, contents=[f"+ /{DEPTH}"], name="depth")
    return rrb.Blueprint(rrb.Horizontal(space, rrb.Vertical(image, depth), column_shares=[2, 1]))
