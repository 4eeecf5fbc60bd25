"""Which camera took a frame: what the frame says, else the user, else the camera that the model was trained with."""

from dataclasses import dataclass

from ..errors import LightDepthError
from ..frames.frame import Frame
from ..spec import Intrinsics, ModelSpec

__all__ = ["Lens", "scaled_intrinsics"]


@dataclass(frozen=True)
class Lens:
    """What the user says of the camera, for frames that don't say it themselves; at most one of the two."""

    focal_px: float | None = None  # in pixels of the frames given
    fov_deg: float | None = None  # horizontal

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

    def known(self, frame: Frame) -> Intrinsics | None:
        """Return the camera that the frame or the user names; its focal length corrects the scale of depth."""
        height, width = frame.image.shape[:2]
        if frame.intrinsics is not None:
            return scaled_intrinsics(frame.intrinsics, width, height)
        return self.of_size(width, height)

    def camera(self, frame: Frame, spec: ModelSpec) -> Intrinsics | None:
        """Return the camera for points in space: the known one, else the one that the model takes every frame for."""
        known = self.known(frame)
        if known is None and spec.intrinsics is not None:
            height, width = frame.image.shape[:2]
            return scaled_intrinsics(spec.intrinsics, width, height)
        return known


def scaled_intrinsics(camera: Intrinsics, width: int, height: int) -> Intrinsics:
    """Return the camera for its image stretched to another size, pixel centres at whole numbers."""
    if (camera.width, camera.height) == (width, height):
        return camera
    x, y = width / camera.width, height / camera.height
    return Intrinsics(
        camera.fx * x, camera.fy * y, (camera.cx + 0.5) * x - 0.5, (camera.cy + 0.5) * y - 0.5, width, height
    )
