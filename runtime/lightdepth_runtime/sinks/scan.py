"""The nearest obstacle of each direction as JSON lines, one a frame."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

import numpy as np

from ..atomic import atomic_path
from ..errors import LightDepthError
from ..floor import CameraMount
from ..frames.frame import DepthFrame, unknown_camera
from ..obstacles import find_obstacles
from .sink import SpanSink

__all__ = ["SCHEMA", "ScanSink"]

SCHEMA = "lightdepth.scan/1"


class ScanSink(SpanSink[TextIO]):
    """Write a line a frame: its name, stamp, frame id, the directions, and the nearest distance of each.

    `angles_rad` are the directions' middles, right to left, 0 ahead. `ranges_m` are metres over the floor from the
    camera; null says that nothing stands within 10 m. `unknown` lists the directions without a reading.

    Raises:
        LightDepthError: no mount, or (as it writes) a frame of an unknown camera.
    """

    def __init__(self, path: Path, mount: CameraMount | None) -> None:
        if mount is None:
            raise LightDepthError("A scan needs the camera's place over the floor; give --camera-height, and --tilt.")
        super().__init__(path)
        self._mount = mount

    def _open(self, _: DepthFrame, /) -> TextIO:
        temporary = self._contexts.enter_context(atomic_path(self._path))
        return self._contexts.enter_context(temporary.open("w", encoding="utf-8"))

    def _add(self, output: TextIO, done: DepthFrame) -> None:
        frame = done.frame
        if done.camera is None:
            raise unknown_camera(f"The scan of {frame.name} needs")
        obstacles = find_obstacles(done.depth_m, done.camera, self._mount)
        content: dict[str, Any] = {  # Any: a JSON object
            "schema": SCHEMA,
            "name": frame.name,
            "stamp_ns": frame.stamp_ns,
            "frame_id": frame.frame_id,
            "angles_rad": [round(float(angle), 4) for angle in obstacles.angles_rad],
            "ranges_m": [round(float(m), 3) if math.isfinite(m) else None for m in obstacles.ranges_m],
            "unknown": [int(number) for number in np.flatnonzero(np.isnan(obstacles.ranges_m))],
        }
        output.write(json.dumps(content, allow_nan=False) + "\n")
