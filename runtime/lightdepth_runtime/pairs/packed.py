"""Pairs that `lightdepth data pack` decoded once: large files that are mapped into memory, so that reading is copying.

A folder holds `packed.json`, and for each shard `NAME.bin` with `NAME.json`. A shard is frame after frame: uint8 RGB
(H, W, 3), then depth (H, W) as the source stored it (uint8 or uint16, in the unit that
the index names) or in float32 metres. Values are little-endian.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import Intrinsics
from .depth_unit import decode_depth, parse_depth_unit
from .pair import FrameData, PairSet, common_camera

__all__ = ["PACKED_NAME", "PACKED_SCHEMA", "PackedPair", "load_packed", "packed_splits"]

PACKED_NAME = "packed.json"
PACKED_SCHEMA = "lightdepth.packed/2"
COLOR_BYTES = 3
_UNDIVIDED = "all"  # the split of data that has none
_DEPTH_TYPES = {"uint8": "|u1", "uint16": "<u2", "float32": "<f4"}


@dataclass(frozen=True)
class PackedPair:
    """One frame of a shard, by its place in the file."""

    name: str
    scene: str
    shard: Path
    offset: int
    height: int
    width: int
    depth_type: str
    unit: str | None = None
    intrinsics: Intrinsics | None = None

    @property
    def depth_unit(self) -> str | None:
        """Name the unit that was declared when it was packed."""
        return "metres" if self.depth_type == "float32" else self.unit

    def read(self) -> FrameData:
        """Copy one frame out of the shard; depth in metres, 0 where there is no reading."""
        content = _map(self.shard)
        pixels = self.height * self.width
        middle = self.offset + COLOR_BYTES * pixels
        kind = np.dtype(_DEPTH_TYPES[self.depth_type])
        end = middle + kind.itemsize * pixels
        if end > len(content):
            raise LightDepthError(f"{self.shard} ends before {self.name}; run `lightdepth data pack` again.")
        image = np.array(content[self.offset : middle]).reshape(self.height, self.width, COLOR_BYTES)
        depth = np.array(content[middle:end]).view(kind).reshape(self.height, self.width)
        unit = parse_depth_unit(self.unit) if self.unit else None
        return FrameData(image, decode_depth(depth, unit))


def load_packed(folder: Path, split: str) -> PairSet:
    """List the pairs of one split of a packed folder.

    Raises:
        LightDepthError: no such split, a damaged index, or a shard that is missing or of another size.
    """
    index = _read(folder / PACKED_NAME)
    try:
        if index["schema"] != PACKED_SCHEMA:
            raise LightDepthError(f"{folder} is packed as {index['schema']}; this version reads {PACKED_SCHEMA}.")
        if [*index["splits"]] == [_UNDIVIDED]:
            split = _UNDIVIDED
        if split not in index["splits"]:
            raise LightDepthError(f"{folder} has the splits {', '.join(index['splits'])}, not {split!r}.")
        entry = index["splits"][split]
        pairs = [pair for name in entry["shards"] for pair in _read_shard(folder, name)]
    except (KeyError, TypeError) as error:
        raise LightDepthError(
            f"{folder / PACKED_NAME} is damaged ({error!r}); run `lightdepth data pack` again."
        ) from error
    return PairSet(f"packed {entry['packaging']}", folder, split, pairs, common_camera(pairs))


def packed_splits(folder: Path) -> tuple[str, ...]:
    """Name the splits of a packed folder.

    Raises:
        LightDepthError: a damaged index.
    """
    return tuple(_read(folder / PACKED_NAME).get("splits", ()))


def _read_shard(folder: Path, name: str) -> list[PackedPair]:
    path, meta = folder / f"{name}.bin", _read(folder / f"{name}.json")
    size = path.stat().st_size if path.exists() else 0
    if size != meta["size_bytes"]:
        raise LightDepthError(
            f"{path} has {size} bytes instead of {meta['size_bytes']}; run `lightdepth data pack` again, which renews "
            "what is damaged."
        )
    cameras = {key: Intrinsics(**values) for key, values in meta["cameras"].items()}
    return [PackedPair(shard=path, intrinsics=cameras.get(str(pair.pop("camera"))), **pair) for pair in meta["pairs"]]


def _read(path: Path) -> dict[str, Any]:  # Any: a JSON object, checked where it is used
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LightDepthError(f"Can't read {path} ({error}); run `lightdepth data pack` again.") from error


@lru_cache(maxsize=256)
def _map(path: Path) -> NDArray[np.uint8]:
    """Map a shard once per process; nothing is read before it is used."""
    try:
        return np.memmap(path, np.uint8, mode="r")
    except (OSError, ValueError) as error:
        raise LightDepthError(f"Can't map {path} ({error}); run `lightdepth data pack` again.") from error
