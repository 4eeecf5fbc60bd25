"""Which camera took a frame: what the user says, else the frame, else the camera that the model was trained with."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..frames.frame import Frame
from ..images.decode import read_bytes
from ..images.exif import focal_35mm, focal_px_of_35mm
from ..spec import Intrinsics, ModelSpec

__all__ = ["NO_LENS", "FocalNotice", "Lens"]


@dataclass(frozen=True)
class Lens:
    """What the user says of the camera, over what frames say themselves; at most one of the two."""

    focal_px: float | None = None  # in pixels of the frames given
    fov_deg: float | None = None  # horizontal
    exif: bool = True  # a photograph's own focal length counts where neither is given

    def __post_init__(self) -> None:
        if self.focal_px is not None and self.fov_deg is not None:
            raise LightDepthError("Give the focal length in pixels or the field of view in degrees, not both.")
        self.of_size(4, 3)  # refuses impossible values before any work

    def of_size(self, width: int, height: int) -> Intrinsics | None:
        """Return the camera for images of this size in pixels; None if the user said nothing."""
        if self.fov_deg is not None:
            return Intrinsics.from_field_of_view(self.fov_deg, width, height)
        if self.focal_px is not None:
            return Intrinsics(self.focal_px, self.focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
        return None

    def of_photograph(self, path: Path, image: NDArray[np.uint8]) -> tuple[Intrinsics, int] | None:
        """Return the camera that a photograph's EXIF tells, with its focal length on 35 mm film; None if it counts not.

        Args:
            path: of the file.
            image: upright, (H, W, 3).
        """
        if not self.exif or self.focal_px is not None or self.fov_deg is not None:
            return None
        focal_mm = focal_35mm(read_bytes(path))
        if focal_mm is None:
            return None
        height, width = image.shape[:2]
        focal_px = focal_px_of_35mm(focal_mm, height, width)
        return Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height), focal_mm

    def known(self, frame: Frame) -> Intrinsics | None:
        """Return the camera that the user or the frame names; its focal length corrects the scale of depth.

        The user's focal length goes with the frame's own centre, where that is known.

        Raises:
            LightDepthError: the frame's camera is for images of another shape.
        """
        height, width = frame.image.shape[:2]
        given, camera = self.of_size(width, height), frame.intrinsics
        if camera is None:
            return given
        if not camera.has_shape_of(width, height):
            raise LightDepthError(
                f"{frame.name} has {width}x{height} pixels and its camera's intrinsics are for "
                f"{camera.width}x{camera.height}, another shape; give the intrinsics of the image as it was cut."
            )
        camera = camera.scaled_to(width, height)
        return camera if given is None else replace(camera, fx=given.fx, fy=given.fy)


NO_LENS = Lens()


class FocalNotice:
    """Says once where depth isn't corrected for the camera's focal length, and why."""

    def __init__(self, spec: ModelSpec, say: Callable[[str], None]) -> None:
        self._spec, self._say, self._said = spec, say, False

    def __call__(self, known: Intrinsics | None, name: str) -> None:
        """Take the camera that is known of an image or stream, None where none is."""
        trained = self._spec.intrinsics
        if self._said or (known is not None and trained is not None):
            return
        self._said = True
        uncorrected = "Depth isn't corrected for the camera's focal length"
        if trained is None:
            self._say(f"{uncorrected}: {self._spec.name} doesn't say which one it was trained with.")
        else:
            self._say(
                f"{uncorrected}, which {name} doesn't tell; give --focal-px or --fov. The model takes every image for "
                f"one of {trained.field_of_view_deg:.0f} degrees across."
            )
