"""The nearest obstacle of each direction as JSON lines, one a frame."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from numpy.typing import NDArray

from ..atomic import PendingOutput, atomic_path
from ..errors import LightDepthError
from ..floor import CameraMount
from ..frames.frame import Frame, unknown_camera
from ..obstacles import find_obstacles
from ..spec import Intrinsics

__all__ = ["SCHEMA", "ScanSink"]

SCHEMA = "lightdepth.scan/1"


class ScanSink:
    """Write a line a frame: its name, stamp, frame id, the directions, and the nearest distance of each.

    `angles_rad` are the directions' middles, right to left, 0 ahead. `ranges_m` are metres over the floor from the
    camera; null says that nothing stands within 10 m. `unknown` lists the directions without a reading.

    Raises:
        LightDepthError: no mount, or (as it writes) a frame of an unknown camera.
    """

    def __init__(self, path: Path, mount: CameraMount | None) -> None:
        if mount is None:
            raise LightDepthError("A scan needs the camera's place over the floor; give --camera-height, and --tilt.")
        self._path, self._mount = path, mount
        self._pending = PendingOutput()
        self._file: TextIO | None = None

    def write(self, frame: Frame, depth_m: NDArray[np.float32], camera: Intrinsics | None) -> list[Path]:
        """Add one line; nothing is complete before `close`."""
        if camera is None:
            raise unknown_camera(f"The scan of {frame.name} needs")
        obstacles = find_obstacles(depth_m, camera, self._mount)
        content: dict[str, Any] = {  # Any: a JSON object
            "schema": SCHEMA,
            "name": frame.name,
            "stamp_ns": frame.stamp_ns,
            "frame_id": frame.frame_id,
            "angles_rad": [round(float(angle), 4) for angle in obstacles.angles_rad],
            "ranges_m": [round(float(m), 3) if math.isfinite(m) else None for m in obstacles.ranges_m],
            "unknown": [int(number) for number in np.flatnonzero(np.isnan(obstacles.ranges_m))],
        }
        if self._file is None:
            self._file = self._pending.open(atomic_path(self._path)).open("w", encoding="utf-8")
        self._file.write(json.dumps(content, allow_nan=False) + "\n")
        return []

    def close(self) -> list[Path]:
        """Finish the file and give it its name."""
        if self._file is None:
            return []
        self._file.close()
        self._file = None
        self._pending.finish()
        return [self._path]

    def abort(self) -> None:
        """Delete what is unfinished."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._pending.abort()
