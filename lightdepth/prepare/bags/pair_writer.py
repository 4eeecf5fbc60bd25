"""Write the pairs of a recording as files, and watch over what they say: readings, units, one camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import write_bytes
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.complete import completed
from lightdepth_runtime.images.millimetres import LARGEST_MM, depth_as_mm
from lightdepth_runtime.pairs.depth_unit import DepthUnit
from lightdepth_runtime.pairs.lists.rows import format_row
from lightdepth_runtime.pairs.pair import fit_color
from lightdepth_runtime.ros import CameraMisfitError, ImageMessage, camera_of, decode_color, decode_depth
from lightdepth_runtime.ros.image_camera import info_topics
from lightdepth_runtime.ros.messages.image import color_bits
from lightdepth_runtime.sinks.open import encode_png
from lightdepth_runtime.spec import Intrinsics

__all__ = ["PairWriter"]

MOST_CHANGE = 0.01  # of the focal length in parts of the frame: autofocus breathes, zooming is another camera
PLAUSIBLE_MEDIAN_M = (0.1, 30.0)
_JPEG_START = b"\xff\xd8"


class PairWriter:
    """Writes pairs into one folder; `camera` is that of their colour images, None while it isn't known.

    Args:
        bag: the recording, for errors.
        folder: exists already.
        rectified: colour is rectified.
        unit: of stored depth; None for the encoding's own.
        say: told once of each thing worth knowing.
    """

    def __init__(
        self, bag: Path, folder: Path, rectified: bool, unit: DepthUnit | None, say: Callable[[str], None]
    ) -> None:
        self.camera: Intrinsics | None = None
        self._bag, self._folder, self._rectified, self._unit, self._say = bag, folder, rectified, unit, say
        self._said: set[str] = set()
        self._bits = 8
        self._pairs = self._empty = self._readings = self._kept = 0
        self._medians_m: list[float] = []

    def write(self, color: ImageMessage, depth: ImageMessage, info: Any, number: int) -> str | None:
        """Write one pair; return its line for a pair list, or None where depth has no reading.

        Args:
            color: the image.
            depth: registered to it.
            info: its calibrated CameraInfo or None (Any: rosbags makes the message class when it reads).
            number: of the pair, which its files' names begin with.
        """
        color_name, depth_name = (f"{self._bag}, {image.topic} at {image.name}" for image in (color, depth))
        self._bits = color_bits(color.message, color_name, least=self._bits)
        rgb = decode_color(color.message, color_name, bits=self._bits)
        depth_m = decode_depth(depth.message, depth_name, unit=self._unit)
        fit_color(rgb, depth_m, depth_name)  # the size that reading will bring colour to
        if color.frame_id != depth.frame_id:
            self._say_once(
                f"Colour is in the frame {color.frame_id!r} and depth in {depth.frame_id!r}: take care that depth is "
                "registered to the colour camera."
            )
        millimetres = self._millimetres(depth_m)
        if not millimetres.any():
            self._empty += 1
            return None
        if info is not None:
            self._take_camera(info, rgb.shape[1], rgb.shape[0], color_name)
        elif self.camera is None:
            self._say_once(
                f"{color_name}: no calibrated CameraInfo stands on {' or '.join(info_topics(color.topic))}. Its pairs "
                "are listed without a camera."
            )
        content = bytes(color.message.data) if hasattr(color.message, "format") else b""
        # To encode a JPEG again would add loss; one of a Bayer mosaic must be, since its file says nothing of colours.
        is_jpeg = content.startswith(_JPEG_START) and not str(color.message.format).startswith("bayer_")
        stem = f"{number:06d}_{color.name}"  # numbered, since stamps may repeat
        names = f"{stem}_rgb.{'jpg' if is_jpeg else 'png'}", f"{stem}_depth.png"
        color_file = completed(content, color_name) if is_jpeg else encode_png(rgb)
        write_bytes(self._folder / names[0], color_file)
        write_bytes(self._folder / names[1], encode_png(millimetres))
        return format_row(*(f"{self._folder.name}/{name}" for name in names))

    def check(self) -> None:
        """Pass if depth makes sense; say how many pairs were left out.

        Raises:
            LightDepthError: no pair has a reading, or most readings lie beyond what 16 bits of millimetres hold.
        """
        if self._readings == 0:
            raise LightDepthError(
                f"{self._bag}: not one of {self._pairs} depth images has a reading, all values are 0 or no number. "
                "Check the depth camera's driver, and that --depth names its images."
            )
        median_m = float(np.median(self._medians_m))
        if self._kept < self._readings / 2:
            raise LightDepthError(
                f"{self._bag}: most readings lie beyond {LARGEST_MM / 1000} m, their median at {median_m:.0f} m. Depth "
                "is likely in another unit; give --depth-scale millimetres, or the units per metre it is in."
            )
        low_m, high_m = PLAUSIBLE_MEDIAN_M
        if not low_m <= median_m <= high_m:
            self._say(f"The median depth is {median_m:.3g} m: if that is a wrong unit, give --depth-scale UNITS.")
        if self._empty:
            self._say(f"{self._empty} of {self._pairs} pairs were left out, since their depth has no reading.")

    def _millimetres(self, depth_m: NDArray[np.float32]) -> NDArray[np.uint16]:
        """Return depth as it is written, beyond 65.534 m 0, and count its readings."""
        self._pairs += 1
        readings = depth_m[depth_m > 0]
        if readings.size:
            self._medians_m.append(float(np.median(readings)))
        millimetres = depth_as_mm(depth_m)
        self._readings += readings.size
        self._kept += int(np.count_nonzero(millimetres))
        return millimetres

    def _take_camera(self, info: Any, width: int, height: int, name: str) -> None:  # Any: as above
        """Take the first pair's camera; refuse another one later."""
        try:
            camera = camera_of(info, width, height, rectified=self._rectified)
        except CameraMisfitError as error:
            self._say_once(f"{name}: {error} Its pairs are listed without a camera.")
            return
        first = self.camera = self.camera or camera
        change = (camera.fx / camera.width) / (first.fx / first.width) - 1
        if abs(change) > MOST_CHANGE:
            raise LightDepthError(
                f"{name}: the camera changes here, from fx {first.fx:.1f} of {first.width} pixels to {camera.fx:.1f} "
                f"of {camera.width}; depth of both can't be learned as one. Cut the recording there, and give each "
                "part its own --output."
            )

    def _say_once(self, text: str) -> None:
        kind = text.partition(": ")[2] or text  # what changes from pair to pair stands before it
        if kind not in self._said:
            self._said.add(kind)
            self._say(text)
