"""Read a camera from the files that data sets put beside their images."""

from __future__ import annotations

import json
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from ...errors import LightDepthError
from ...images.decode import read_image
from ...spec import Intrinsics

__all__ = ["read_camera"]

# SUN RGB-D, KITTI's selection and Stray Scanner: 3x3; ScanNet: 4x4; Open3D: JSON; ARKitScenes: a line for each frame.
_TEXT_FILES = (
    "intrinsics.txt", "intrinsic.txt", "intrinsic/intrinsic_color.txt", "camera-intrinsics.txt", "camera_matrix.csv",
)  # fmt: skip
_JSON_FILES = ("camera_intrinsic.json", "intrinsic.json", "intrinsics.json")
_ARKIT_FILES = "lowres_wide_intrinsics/*.pincam"


def read_camera(folder: Path, image: Path) -> Intrinsics | None:
    """Return the camera of a folder's images from the file beside them, or None where there is none.

    Args:
        folder: may hold `intrinsics.txt` (a matrix row by row), ScanNet's `intrinsic/intrinsic_color.txt`, Stray
            Scanner's `camera_matrix.csv`, Open3D's `intrinsic.json`, or ARKitScenes' `lowres_wide_intrinsics/`, whose
            first frame counts.
        image: one of the images; a matrix says nothing of their size.

    Raises:
        LightDepthError: such a file that can't be read as one.
    """
    for name in _TEXT_FILES:
        if (folder / name).is_file():
            return camera_of_matrix(folder / name, image)
    for name in _JSON_FILES:
        if (folder / name).is_file():
            return _camera_of_json(folder / name)
    frames = sorted(folder.glob(_ARKIT_FILES))
    return _camera_of_line(frames[0]) if frames else None


@contextmanager
def faults_named(path: Path, what: str) -> Generator[None, None, None]:
    """Turn what a damaged camera file raises while it is read into one sentence that names it."""
    try:
        yield
    except (OSError, ValueError, KeyError, TypeError, IndexError, LightDepthError) as error:
        fault = str(error).rstrip(".") if isinstance(error, LightDepthError) else repr(error)
        raise LightDepthError(
            f"{path} is no {what} ({fault}). Correct it, or remove it to go on without a camera."
        ) from error


def camera_of_matrix(path: Path, image: Path) -> Intrinsics:
    """Read fx, fy, cx and cy from a 3x3, 3x4 or 4x4 matrix of numbers, row by row.

    Raises:
        LightDepthError: other numbers, or an image that can't be read.
    """
    height, width = read_image(image).shape[:2]
    with faults_named(path, "camera matrix of 3x3, 3x4 or 4x4 numbers"):
        values = [float(word) for word in path.read_text(encoding="utf-8").replace(",", " ").split()]
        columns = {9: 3, 12: 4, 16: 4}.get(len(values))
        if columns is None:
            raise ValueError(f"it has {len(values)}")
        return Intrinsics(values[0], values[columns + 1], values[2], values[columns + 2], width, height)


def _camera_of_json(path: Path) -> Intrinsics:
    """Read Open3D's PinholeCameraIntrinsic: its matrix stands column by column."""
    with faults_named(path, "camera as Open3D writes it"):
        values = json.loads(path.read_text(encoding="utf-8"))
        matrix = [float(value) for value in values["intrinsic_matrix"]]
        return Intrinsics(matrix[0], matrix[4], matrix[6], matrix[7], int(values["width"]), int(values["height"]))


def _camera_of_line(path: Path) -> Intrinsics:
    """Read ARKitScenes' line of width, height, fx, fy, cx and cy."""
    with faults_named(path, "camera as ARKitScenes writes it, width height fx fy cx cy"):
        width, height, *camera = (float(word) for word in path.read_text(encoding="utf-8").split())
        fx, fy, cx, cy = camera
        return Intrinsics(fx, fy, cx, cy, int(width), int(height))
