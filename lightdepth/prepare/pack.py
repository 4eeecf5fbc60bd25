"""Pack a data set: decode every pair once into large files, so that training only moves bytes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import atomic_path, make_folder, sha256_of_file, write_json
from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit
from lightdepth_runtime.pairs import MissingSplitError, Pair, PairSet, load_pairs, splits_of
from lightdepth_runtime.pairs.depth_unit import DepthUnit, decode_depth
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.pairs.packed import PACKED_NAME, PACKED_SCHEMA
from lightdepth_runtime.parallel import Workers, in_batches, worker_count
from lightdepth_runtime.processes import Processes
from lightdepth_runtime.spec import Intrinsics

from ..runs.record import fingerprint

__all__ = ["Packed", "pack_data"]

PAIRS_PER_SHARD = 128  # 640x480: up to 270 MB, little to write again after an interruption
Track = Callable[[Iterable[tuple[int, bool]], str, int], Iterable[tuple[int, bool]]]


@dataclass(frozen=True)
class Packed:
    """What packing did."""

    pairs: int
    shards: int
    kept_shards: int
    size_bytes: int

    def line(self) -> str:
        """Say it in one line."""
        kept = f"; {self.kept_shards} of the shards were there already and are whole" if self.kept_shards else ""
        return (
            f"{self.pairs} pairs in {self.shards} shard{'s' * (self.shards != 1)}, {self.size_bytes / 1e9:.2f} GB{kept}"
        )


def pack_data(
    root: Path,
    output: Path,
    *,
    unit: DepthUnit | None = None,
    workers: int | None = 1,
    processes: Processes | None = None,
    progress: Track = lambda shards, _label, _total: shards,
    say: Callable[[str], object] = lambda _: None,
) -> Packed:
    """Write a packed copy of all splits; what an earlier call finished, and is whole, is kept.

    Args:
        root: what `--data` takes: a folder in any packaging.
        output: the packed folder, which `--data` takes too.
        unit: of stored depth, over what packaging or list say; the packed folder carries it.
        workers: processes that each write a shard; None for as many as the cores and the number of pairs ask for.
        processes: share the shards with this one; the main one alone returns.
        progress: wraps what comes of each shard to show progress.
        say: told where the unit of depth looks wrong, since it is packed with the pairs.

    Raises:
        LightDepthError: no data, a pair that can't be read, or a folder that can't be written.
    """
    make_folder(output)
    sets = _load_splits(root, unit)
    shards = [shard for pairs in sets for shard in _divide(pairs)]
    processes = processes or Processes()
    for pairs in sets if processes.number == 0 else ():
        warn_of_unit(pairs, say)
    share = processes.share(shards, "shards", name=lambda shard: f"{shard[0]} {shard[1].pairs[0].name}")
    count = min(len(share), worker_count(workers, sum(len(part) for _, part in share)))
    with Workers(count) as pool:
        done = pool.map(partial(_pack, output), share, name=lambda shard: shard[0])
        packed = list(progress(done, f"Packing, in shards of up to {PAIRS_PER_SHARD} pairs", len(share)))
    packed = [shard for part in processes.merge(packed) for shard in part]
    splits = {
        pairs.split: {"packaging": pairs.packaging, "shards": [name for name, _ in _divide(pairs)]} for pairs in sets
    }
    write_json(output / PACKED_NAME, {"schema": PACKED_SCHEMA, "splits": splits})
    return Packed(sum(map(len, sets)), len(shards), sum(kept for _, kept in packed), sum(size for size, _ in packed))


def _divide(pairs: PairSet) -> list[tuple[str, PairSet]]:
    """Return the shards of a split: the name of each and its pairs."""
    parts = enumerate(in_batches(range(len(pairs)), PAIRS_PER_SHARD))
    return [(f"{pairs.split}-{number:05d}", pairs.subset(part, pairs.split)) for number, part in parts]


def _pack(folder: Path, shard: tuple[str, PairSet]) -> tuple[int, bool]:
    """Write a shard, unless it is there and whole; return its size, and whether it was kept."""
    name, part = shard
    source = _source(part)
    size = _whole_size(folder, name, source)
    return (_write_shard(folder, name, source, part.pairs), False) if size is None else (size, True)


def _load_splits(root: Path, unit: DepthUnit | None) -> list[PairSet]:
    """Return the splits that there are; a fault in one that is there is an error."""
    found: list[PairSet] = []
    names = splits_of(root)
    for split in names:
        with suppress(MissingSplitError):
            found.append(load_pairs(root, split, unit=unit))
    return found or [load_pairs(root, names[0], unit=unit)]  # which says what is missing


def _source(part: PairSet) -> str:
    """Return what tells a shard's content from another's: the files, and what their depth is taken for."""
    told = [(pair.depth_unit, pair.intrinsics) for pair in part.pairs]
    return hashlib.sha256(f"{fingerprint(part)} {told}".encode()).hexdigest()


def _whole_size(folder: Path, name: str, source: str) -> int | None:
    """Return the size of a shard that was written from the same files and has its SHA-256, else None."""
    path, meta_path = folder / f"{name}.bin", folder / f"{name}.json"
    try:
        meta = json.loads(meta_path.read_text())
        if meta["source"] != source or path.stat().st_size != meta["size_bytes"]:
            return None
        return meta["size_bytes"] if sha256_of_file(path) == meta["sha256"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _write_shard(folder: Path, name: str, source: str, pairs: Iterable[Pair]) -> int:
    """Write frames one after the other, then what is where; returns the size in bytes."""
    (folder / f"{name}.json").unlink(missing_ok=True)  # never the new bytes with the old index
    for half_written in folder.glob(f".{name}.*.bin"):  # of a process that was killed
        half_written.unlink(missing_ok=True)
    digest = hashlib.sha256()
    entries = []
    cameras: dict[Intrinsics, str] = {}
    offset = 0
    with atomic_path(folder / f"{name}.bin") as temporary, temporary.open("wb") as file:
        for pair in pairs:
            image, depth, unit = _decode(pair)
            camera = pair.intrinsics and cameras.setdefault(pair.intrinsics, str(len(cameras)))
            content = image.tobytes() + depth.astype(depth.dtype.newbyteorder("<")).tobytes()
            file.write(content)
            digest.update(content)
            entries.append(
                {
                    "name": pair.name,
                    "scene": pair.scene,
                    "offset": offset,
                    "height": image.shape[0],
                    "width": image.shape[1],
                    "depth_type": depth.dtype.name,
                    "unit": unit,
                    "camera": camera,
                }
            )
            offset += len(content)
    meta = {
        "source": source,
        "sha256": digest.hexdigest(),
        "size_bytes": offset,
        "cameras": {name: asdict(camera) for camera, name in cameras.items()},
        "pairs": entries,
    }
    write_json(folder / f"{name}.json", meta)
    return offset


def _decode(pair: Pair) -> tuple[NDArray[np.uint8], NDArray[np.generic], str | None]:
    """Return uint8 RGB (H, W, 3), and depth (H, W) as stored with its unit, or in metres without one."""
    if isinstance(pair, FilePair):
        image, values = pair.read_stored()
        if values.dtype in (np.uint8, np.uint16):  # smaller than metres, and what can be packed
            return image, values, pair.depth_unit
        return image, decode_depth(values, pair.unit), None
    frame = pair.read()
    return frame.image, frame.depth_m, None
