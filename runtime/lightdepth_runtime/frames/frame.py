"""What sources give, an image with its time, its name and its camera; and what sinks take, the same with its depth."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics

__all__ = ["DepthFrame", "Frame", "ImageJob", "unknown_camera"]


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a stream.

    A source is any iterable of frames; those that hold a device or a file are context managers too.
    """

    image: NDArray[np.uint8]  # RGB (H, W, 3)
    stamp_ns: int  # nanoseconds: since 1970 for cameras and recordings, since the first frame for videos
    name: str  # what outputs of this frame begin with, unique within its source: `clip_000012`
    intrinsics: Intrinsics | None = None  # of this very image, where the source knows them
    frame_id: str = ""  # the camera's coordinate frame, as ROS names it


@dataclass(frozen=True, eq=False)
class DepthFrame:
    """A frame with its depth, as sinks take it."""

    frame: Frame
    depth_m: NDArray[np.float32]  # (H, W) along the optical axis
    camera: Intrinsics | None  # the frame's own, or what the user or the model says, for an image of this size
    sigma: NDArray[np.float32] | None = None  # (H, W); None of a model without it, or where no sink wants it


@dataclass(frozen=True)
class ImageJob:
    """One image and the name its outputs begin with."""

    path: Path
    stem: str


def unknown_camera(what: str) -> LightDepthError:
    """Return the error of what is asked of a frame and needs its camera, like "The floor of a.jpg needs"."""
    return LightDepthError(f"{what} the camera, which neither the input nor the model tells; give --focal-px or --fov.")
