"""Pairs that `lightdepth data pack` decoded once: large files, so that reading is copying.

A folder, or a URL, holds `packed.json`, and for each shard `NAME.bin` with `NAME.json`. A shard is frame after frame:
uint8 RGB (H, W, 3), then depth (H, W) as the source stored it (uint8 or uint16, in the unit that
the index names) or in float32 metres. Values are little-endian. `NAME.json` has the shard's SHA-256.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import LightDepthError
from ..spec import Intrinsics
from .depth_unit import decode_depth, parse_depth_unit
from .pair import UNDIVIDED, FrameData, PairSet, common_camera
from .remote import read_files, url_of
from .shard import LocalShard, RemoteShard, Shard, ShardCache

__all__ = ["PACKED_NAME", "PACKED_SCHEMA", "PackedPair", "load_packed", "packed_splits"]

PACKED_NAME = "packed.json"
PACKED_SCHEMA = "lightdepth.packed/2"
COLOR_BYTES = 3
_DEPTH_TYPES = {"uint8": "|u1", "uint16": "<u2", "float32": "<f4"}


@dataclass(frozen=True, slots=True)
class PackedPair:
    """One frame of a shard, by its place in the file."""

    name: str
    scene: str
    shard: Shard
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
        pixels = self.height * self.width
        middle = COLOR_BYTES * pixels
        kind = np.dtype(_DEPTH_TYPES[self.depth_type])
        size = middle + kind.itemsize * pixels
        content = self.shard.read(self.offset, self.offset + size)
        if len(content) < size:
            raise LightDepthError(f"{self.shard} ends before {self.name}; run `lightdepth data pack` again.")
        image = content[:middle].reshape(self.height, self.width, COLOR_BYTES)
        depth = np.array(content[middle:]).view(kind).reshape(self.height, self.width)  # a copy is aligned
        unit = parse_depth_unit(self.unit) if self.unit else None
        return FrameData(image, decode_depth(depth, unit))


def load_packed(folder: Path, split: str, *, cache: ShardCache | None = None) -> PairSet:
    """List the pairs of one split of a packed folder.

    Args:
        folder: a folder, or a URL in a `Path`.
        split: as `load_pairs` takes it.
        cache: of shards that lie at a URL; by default up to 32 GB in the user's cache.

    Raises:
        LightDepthError: no such split, a damaged index, a shard that is missing or of another size, or a URL that
            can't be read.
    """
    place = url_of(folder) or folder
    splits = _read_splits(place)
    if [*splits] == [UNDIVIDED]:
        split = UNDIVIDED
    if split not in splits:
        raise LightDepthError(f"{place} has the splits {', '.join(splits)}, not {split!r}.")
    entry = splits[split]
    try:
        metas = _read(place, [f"{name}.json" for name in entry["shards"]])
        pairs = [
            pair
            for name, meta in zip(entry["shards"], metas, strict=True)
            for pair in _pairs_of(_shard(place, name, meta, cache), meta)
        ]
        return PairSet(f"packed {entry['packaging']}", folder, split, pairs, common_camera(pairs))
    except (KeyError, TypeError, AttributeError) as error:
        raise LightDepthError(
            f"The index of {place} is damaged ({error!r}); run `lightdepth data pack` again."
        ) from error


def packed_splits(folder: Path) -> tuple[str, ...]:
    """Name the splits of a packed folder, or of one at a URL.

    Raises:
        LightDepthError: a damaged index, or one that can't be read.
    """
    return tuple(_read_splits(url_of(folder) or folder))


def _read_splits(place: Path | str) -> dict[str, Any]:  # Any: a JSON object
    (index,) = _read(place, [PACKED_NAME])
    if not isinstance(index, dict) or not isinstance(index.get("splits"), dict):
        raise LightDepthError(f"The index of {place} is damaged: it names no splits; run `lightdepth data pack` again.")
    if index.get("schema") != PACKED_SCHEMA:
        raise LightDepthError(f"{place} is packed as {index.get('schema')}; this version reads {PACKED_SCHEMA}.")
    return index["splits"]


def _shard(place: Path | str, name: str, meta: dict[str, Any], cache: ShardCache | None) -> Shard:  # Any: JSON
    if isinstance(place, str):
        return RemoteShard(f"{place}/{name}.bin", meta["size_bytes"], meta["sha256"], cache or ShardCache())
    path = place / f"{name}.bin"
    size = path.stat().st_size if path.exists() else 0
    if size != meta["size_bytes"]:
        raise LightDepthError(
            f"{path} has {size} bytes instead of {meta['size_bytes']}; run `lightdepth data pack` again, which renews "
            "what is damaged."
        )
    return LocalShard(path, meta["sha256"])


def _pairs_of(shard: Shard, meta: dict[str, Any]) -> list[PackedPair]:  # Any: a JSON object
    cameras = {key: Intrinsics(**values) for key, values in meta["cameras"].items()}
    if unknown := {pair["depth_type"] for pair in meta["pairs"]} - {*_DEPTH_TYPES}:
        raise KeyError(f"depth_type {unknown.pop()}")
    return [PackedPair(shard=shard, intrinsics=cameras.get(str(pair.pop("camera"))), **pair) for pair in meta["pairs"]]


def _read(place: Path | str, names: Sequence[str]) -> Iterator[dict[str, Any]]:  # Any: checked where it is used
    """Yield the JSON objects of a folder or URL by their files' names."""
    if isinstance(place, str):
        contents = read_files([f"{place}/{name}" for name in names])
    else:
        contents = ((place / name).read_bytes() for name in names)
    for name in names:
        try:
            yield json.loads(next(contents))
        except OSError as error:
            raise LightDepthError(f"Can't read {place}/{name} ({error}); run `lightdepth data pack` again.") from error
        except ValueError as error:
            raise LightDepthError(
                f"{place}/{name} is no JSON ({error}); give the folder or URL that `lightdepth data pack` wrote to, or "
                "run it again."
            ) from error
