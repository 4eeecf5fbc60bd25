"""What sources give and sinks take: an image with its time, its name and, where known, its camera."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics

__all__ = ["Frame", "FrameSink", "ImageJob", "SigmaSink", "unknown_camera"]


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


@dataclass(frozen=True)
class ImageJob:
    """One image and the name its outputs begin with."""

    path: Path
    stem: str


def unknown_camera(what: str) -> LightDepthError:
    """Return the error of what is asked of a frame and needs its camera, like "The floor of a.jpg needs"."""
    return LightDepthError(f"{what} the camera, which neither the input nor the model tells; give --focal-px or --fov.")


class FrameSink(Protocol):
    """Where depth of a stream goes."""

    def write(self, frame: Frame, depth_m: NDArray[np.float32], camera: Intrinsics | None) -> list[Path]:
        """Take one frame and its depth (H, W) in metres; return the files that are complete by it.

        `camera` is the frame's own, or what the user or the model says, for an image of this size; None if unknown.
        """
        ...

    def close(self) -> list[Path]:
        """Finish what spans all frames, under its final name; return those files. Nothing appears without frames."""
        ...

    def abort(self) -> None:
        """Drop what is unfinished and leave no part of it behind; after `close` it does nothing."""
        ...


@runtime_checkable
class SigmaSink(FrameSink, Protocol):
    """A sink that also takes the model's sigma (H, W) of each frame, None of a model without it."""

    wants_sigma: bool  # sigma costs resizing one more array: a sink that doesn't use it is not given it

    def write(
        self,
        frame: Frame,
        depth_m: NDArray[np.float32],
        camera: Intrinsics | None,
        sigma: NDArray[np.float32] | None = None,
    ) -> list[Path]:
        """Take one frame as `FrameSink.write` does."""
        ...
