"""Read depth files as they are stored: PNG, TIFF, NumPy arrays, OpenEXR."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.complete import completed
from ..images.decode import decode_image, read_bytes
from ..images.opencv import import_cv2
from .depth_unit import DepthUnit

__all__ = ["DEPTH_SUFFIXES", "read_depth_values"]

DEPTH_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".npy", ".npz", ".exr"})
_NPZ_NAMES = ("depth", "depth_m", "arr_0")
_LARGEST_8BIT_UNIT = 255.0  # units per metre: a finer one would end below a metre


def read_depth_values(path: Path, unit: DepthUnit | None = None) -> NDArray[np.generic]:
    """Read a depth file as it is stored: (H, W) of any integer or float type.

    Args:
        path: one of `DEPTH_SUFFIXES`.
        unit: what is declared; without one, 8-bit files are refused.

    Raises:
        LightDepthError: unreadable, truncated, several channels, an unknown type, or 8 bits whose unit isn't declared.
    """
    suffix = path.suffix.lower()
    if suffix in (".npy", ".npz"):
        values = _read_numpy(path)
    elif suffix == ".exr":
        values = _read_exr(path)
    else:
        values = _read_picture(path)
    if values.ndim == 3 and 1 in values.shape:
        values = values.squeeze(axis=values.shape.index(1))  # (1, H, W) or (H, W, 1) -> (H, W)
    if values.ndim != 2 or 0 in values.shape:
        raise LightDepthError(
            f"{path} has the shape {values.shape}; depth has one value a pixel, (H, W). Is it a coloured picture of "
            "depth?"
        )
    if not np.issubdtype(values.dtype, np.number) or np.issubdtype(values.dtype, np.complexfloating):
        raise LightDepthError(f"{path} holds {values.dtype}; depth is whole numbers or floats.")
    takes_bytes = unit is not None and (unit.bytes_are_10m or unit.per_metre <= _LARGEST_8BIT_UNIT)
    if values.dtype == np.uint8 and not takes_bytes:
        raise LightDepthError(
            f"{path} has 8 bits a pixel, which can't be millimetres: they would end at 0.255 m. Declare what its "
            "numbers mean with --depth-scale (densedepth: 255 is 10 m; or units per metre), or convert it to 16 bits."
        )
    return values


def _read_picture(path: Path) -> NDArray[np.generic]:
    values = decode_image(completed(read_bytes(path), path), path, import_cv2().IMREAD_UNCHANGED)
    if values.ndim != 2:
        raise LightDepthError(
            f"{path} has {values.shape[2]} channels; a depth image has one. Is it a coloured picture of depth, or does "
            "depth stand before its photograph?"
        )
    return values


def _read_numpy(path: Path) -> NDArray[np.generic]:
    content = read_bytes(path)
    try:
        loaded: Any = np.load(io.BytesIO(content), allow_pickle=False)  # Any: an array, or a file of several
        if path.suffix.lower() == ".npy":
            return np.asarray(loaded)
        with loaded as arrays:
            names = [name for name in _NPZ_NAMES if name in arrays.files] or arrays.files
            if len(names) > 1 and names[0] not in _NPZ_NAMES:
                raise LightDepthError(
                    f"{path} holds {', '.join(arrays.files)}; call the array of depth {_NPZ_NAMES[0]!r}."
                )
            return np.asarray(arrays[names[0]])
    except (ValueError, OSError, EOFError, IndexError, KeyError) as error:
        raise LightDepthError(
            f"{path} can't be read as a NumPy array ({error}). Write it again with numpy.save."
        ) from error


def _read_exr(path: Path) -> NDArray[np.generic]:
    """Read the channel of depth of an OpenEXR file: Z, or the only one, or any where all are equal."""
    try:
        import OpenEXR
    except ImportError as error:
        raise LightDepthError(
            f"{path}: OpenEXR files need a library; install it with: pip install openexr (or convert the depth to .npy "
            "in metres)."
        ) from error
    read_bytes(path)  # says it in our words where there is no such file
    try:
        with OpenEXR.File(str(path), separate_channels=True) as file:
            channels = {name: np.asarray(channel.pixels) for name, channel in file.channels().items()}
    except (RuntimeError, ValueError, TypeError) as error:
        raise LightDepthError(f"{path} can't be decoded as OpenEXR ({error}); write it again.") from error
    depth = [name for name in channels if name.rpartition(".")[2] == "Z"] or list(channels)
    first = channels[depth[0]]
    if any(not np.array_equal(first, channels[name], equal_nan=True) for name in depth[1:]):
        raise LightDepthError(
            f"{path} has the channels {', '.join(channels)}; name the one that holds depth 'Z', or write it alone."
        )
    return first
