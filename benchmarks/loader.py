"""Samples/s of a core: packed pairs, plain files, and a loader written like the original report's, in turns.

Usage: python benchmarks/loader.py --data DIR [--json FILE]

All three end in the same thing: a batch of normalised FP32 tensors of the network's size, with the same views drawn.
The report's way is PIL for decoding, cropping, enlarging and mirroring, and float32 numpy for normalising and depth.
Its colours are varied in floats, as the report did; `report, colours by table` has PIL look them up instead, which is
the fastest that such a loader can be. One process and one thread do the work, and CPU seconds are counted beside those
of the clock: a busy machine changes the latter more.

What a training on 50,688 frames needs is calculated from the figures measured, and called calculated.
"""

from __future__ import annotations

import math
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import torch
import typer
from numpy.typing import NDArray
from PIL import Image

from lightdepth.data.augment import Augmentation, draw_view
from lightdepth.data.loader import TrainingPairs, collate
from lightdepth.data.sample import Sample
from lightdepth.prepare.pack import pack_data
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import MissingSplitError, Pair, PairSet, load_pairs
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.spec import ModelSpec

SCHEMA = "lightdepth.loader/1"
SEED = 0
BATCH = 8
KINDS = ("report", "report, colours by table", "plain", "packed")
FULL_SET = 50_688  # frames of NYU Depth V2 in the packaging that is trained on (Kaggle, DenseDepth)
MEMORY_GB = 32.0
GPU_IMAGES_PER_S = 500.0
PREFETCH = 2  # batches that PyTorch keeps ready for each worker
SAME_DEPTH_SHARE, SAME_IMAGE = 0.95, 0.1  # of the report's tensors: PIL rounds and resamples a little differently

Read = Callable[[list[tuple[int, int]]], Sample]  # a batch by (pass, index)


@dataclass(frozen=True)
class ReportPairs:
    """Pairs read as the original report did: PIL, and numpy for all arithmetic."""

    pairs: list[Pair]
    spec: ModelSpec
    settings: Augmentation
    has_table: bool

    def read(self, keys: list[tuple[int, int]]) -> Sample:
        """Return a batch."""
        return collate([self[key] for key in keys])

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Return one pair under a random view."""
        pair = self.pairs[key[1]]
        assert isinstance(pair, FilePair), f"the report's loader reads files, not {pair}"
        size = self.spec.input_width, self.spec.input_height
        image = Image.open(pair.color_path).convert("RGB")
        depth = np.array(Image.open(pair.depth_path))
        depth_m = _metres(depth)
        rng = np.random.default_rng((SEED, *key))
        settings = self.settings if self.has_table else replace(self.settings, color=0)
        view = draw_view(depth.shape[0], depth.shape[1], settings, rng)
        box = view.left, view.top, view.left + view.width, view.top + view.height
        image = image.crop(box).resize(size, Image.Resampling.BILINEAR)
        seen = Image.fromarray(depth_m).crop(box).resize(size, Image.Resampling.NEAREST)
        depth_m = np.array(seen) / np.float32(view.zoom)
        if view.is_mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            depth_m = np.fliplr(depth_m).copy()
        if view.color_table is not None:
            image = image.point(view.color_table[0].T.ravel().tolist())
        mean, std = np.array(self.spec.mean, np.float32), np.array(self.spec.std, np.float32)
        pixels = np.asarray(image, np.float32) / np.float32(255)
        if not self.has_table:
            pixels = _vary(pixels, self.settings.color, rng)
        normalised = ((pixels - mean) / std).transpose(2, 0, 1)
        depth_m[depth_m >= self.spec.max_depth_m] = 0
        image_tensor = torch.from_numpy(np.ascontiguousarray(normalised))
        return Sample(image_tensor, torch.from_numpy(depth_m)[None], None, None, [pair.name])


def _vary(pixels: NDArray[np.float32], strength: float, rng: np.random.Generator) -> NDArray[np.float32]:
    """Vary gamma, brightness and the channels' balance of (H, W, 3), drawn as `draw_view` draws them."""
    gamma, brightness = rng.uniform(1 - strength, 1 + strength, size=2)
    balance = rng.uniform(1 - strength / 2, 1 + strength / 2, size=3).astype(np.float32)
    return np.clip(pixels ** np.float32(gamma) * np.float32(brightness) * balance, 0, 1)


def _metres(depth: NDArray[np.generic]) -> NDArray[np.float32]:
    """Decode by bit depth, as the packagings mean it (the report's own rule was wrong by a factor of 39)."""
    values = depth.astype(np.float32)
    if depth.dtype == np.uint8:
        return np.where((values > 0) & (values < 255), (values + np.float32(0.5)) / np.float32(25.5), np.float32(0))
    return values / np.float32(1000)


def main(
    data: Annotated[Path, typer.Option(help="Folder of NYU pairs: files, not packed.")],
    size: Annotated[tuple[int, int], typer.Option(help="Network's input: height, width.")] = (480, 640),
    samples: Annotated[int, typer.Option(min=BATCH, help="Of each kind, a round.")] = 96,
    rounds: Annotated[int, typer.Option(min=1)] = 7,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure, calculate, print, write."""
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:  # not in a /tmp that is memory
        packed = pack_data(data, Path(folder) / "packed")
        result = measure(_both_splits(data), _both_splits(Path(folder) / "packed"), size, samples, rounds)
    result |= {"packed_bytes_per_frame": packed.size_bytes / packed.pairs, "machine": describe_machine().to_dict()}
    result["calculated"] = calculate(result, size)
    for line in describe(result):
        print(line)
    if json:
        write_json(json, {"schema": SCHEMA, **result})


def measure(
    plain: PairSet, packed: PairSet, size: tuple[int, int], samples: int, rounds: int
) -> dict[str, Any]:  # Any: a JSON object
    """Time the three kinds in turns, and the packed one on sets of growing size."""
    spec = ModelSpec("loader", *size, parameters=0)
    kinds = build(plain, packed, spec)
    check_same(kinds, len(plain))
    for read in kinds.values():
        time_samples(read, _keys(len(plain), samples, 0))  # warm up: caches, lazy imports
    cpu_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
    wall_ms: dict[str, list[float]] = {kind: [] for kind in KINDS}
    for number in range(rounds):
        order = KINDS if number % 2 else KINDS[::-1]
        for kind in order:
            cpu, wall = time_samples(kinds[kind], _keys(len(plain), samples, number))
            cpu_ms[kind].append(cpu)
            wall_ms[kind].append(wall)
    sizes = [count for count in (100, 300) if count < len(packed)] + [len(packed)]
    growth: dict[int, list[float]] = {count: [] for count in sizes}
    sets = {count: build(plain.spread(count), packed.spread(count), spec)["packed"] for count in sizes}
    for number in range(rounds):
        for count in sizes if number % 2 else sizes[::-1]:
            growth[count].append(time_samples(sets[count], _keys(count, samples, number))[0])
    return {
        "pairs": len(plain),
        "size": size,
        "samples_a_round": samples,
        "rounds": rounds,
        "kinds": [
            {
                "kind": kind,
                "cpu_ms_per_sample": statistics.median(cpu_ms[kind]),
                "cpu_ms_p95": _p95(cpu_ms[kind]),
                "wall_ms_per_sample": statistics.median(wall_ms[kind]),
                "samples_per_s_per_core": 1000 / statistics.median(cpu_ms[kind]),
                "times_report": _times(cpu_ms["report"], cpu_ms[kind]),
                "times_report_by_table": _times(cpu_ms["report, colours by table"], cpu_ms[kind]),
            }
            for kind in KINDS
        ],
        "packed_cpu_ms_by_pairs": {str(count): statistics.median(times) for count, times in growth.items()},
        "plain_bytes_per_frame": statistics.mean(_file_bytes(pair) for pair in plain.pairs),
        "process_memory_gb": _own_memory_bytes() / 1e9,
    }


def build(plain: PairSet, packed: PairSet, spec: ModelSpec) -> dict[str, Read]:
    """Return the three ways to read a sample by (pass, index)."""
    settings = Augmentation()
    return {
        "report": ReportPairs(list(plain.pairs), spec, settings, has_table=False).read,
        "report, colours by table": ReportPairs(list(plain.pairs), spec, settings, has_table=True).read,
        "plain": TrainingPairs(plain.pairs, spec, settings, SEED).__getitems__,
        "packed": TrainingPairs(packed.pairs, spec, settings, SEED).__getitems__,
    }


def time_samples(read: Read, keys: list[tuple[int, int]]) -> tuple[float, float]:
    """Return CPU and clock milliseconds a sample, batches stacked."""
    cpu, wall = time.process_time(), time.perf_counter()
    for start in range(0, len(keys), BATCH):
        read(keys[start : start + BATCH])
    return 1000 * (time.process_time() - cpu) / len(keys), 1000 * (time.perf_counter() - wall) / len(keys)


def check_same(kinds: dict[str, Read], pairs: int) -> None:
    """See that the three end in the same tensors before any is timed.

    Raises:
        LightDepthError: they don't.
    """
    for key in _keys(pairs, 8, 0):
        report, table, plain, packed = (kinds[kind]([key]) for kind in KINDS)
        if not (torch.equal(plain.image, packed.image) and torch.equal(plain.depth_m, packed.depth_m)):
            raise LightDepthError(f"Packed and plain differ at {plain.names[0]}; pack again.")
        for other in (report, table):
            same = (other.depth_m - plain.depth_m).abs().le(0.001 * plain.depth_m.clamp_min(0.01)).float().mean()
            image = (other.image - plain.image).abs().mean()
            if same < SAME_DEPTH_SHARE or image > SAME_IMAGE:
                raise LightDepthError(
                    f"The report's loader gives other tensors at {plain.names[0]}: depth alike in {same:.3f} of the "
                    f"pixels, image {image:.3f} off; the comparison would not be fair."
                )


def calculate(measured: dict[str, Any], size: tuple[int, int]) -> dict[str, Any]:  # Any: JSON objects
    """Calculate cores, memory and disk that the full set needs on a GPU of 500 images/s; nothing here is measured."""
    result: dict[str, Any] = {"frames": FULL_SET, "gpu_images_per_s": GPU_IMAGES_PER_S, "memory_gb": MEMORY_GB}
    batch_gb = BATCH * 4 * size[0] * size[1] * 4 / 1e9  # three planes of colour and one of depth in FP32
    for kind in ("plain", "packed"):
        rate = next(row["samples_per_s_per_core"] for row in measured["kinds"] if row["kind"] == kind)
        workers = math.ceil(GPU_IMAGES_PER_S / rate)
        processes_gb = (workers + 1) * measured["process_memory_gb"] + workers * PREFETCH * batch_gb
        set_gb = FULL_SET * measured[f"{kind}_bytes_per_frame"] / 1e9
        cached = min(1.0, max(0.0, MEMORY_GB - processes_gb) / set_gb)
        result[kind] = {
            "workers": workers,
            "processes_gb": processes_gb,
            "fits": processes_gb < MEMORY_GB,
            "set_on_disk_gb": set_gb,
            "cached_share": cached,
            "disk_mb_per_s": (1 - cached) * GPU_IMAGES_PER_S * measured[f"{kind}_bytes_per_frame"] / 1e6,
        }
    return result


def describe(result: dict[str, Any]) -> list[str]:  # Any: a JSON object
    """Return the lines to print."""
    lines = [
        f"{row['kind']}: {row['samples_per_s_per_core']:.0f} samples/s a core, {row['times_report']:.2f} times the "
        f"report's, {row['times_report_by_table']:.2f} times it with its colours by table"
        for row in result["kinds"]
    ]
    growth = ", ".join(f"{ms:.2f} ms of {count} pairs" for count, ms in result["packed_cpu_ms_by_pairs"].items())
    lines.append(f"A packed sample costs {growth}")
    for kind in ("plain", "packed"):
        need = result["calculated"][kind]
        lines.append(
            f"Calculated, {FULL_SET:,} frames, {GPU_IMAGES_PER_S:.0f} images/s, {kind}: {need['workers']} workers in "
            f"{need['processes_gb']:.1f} of {MEMORY_GB:.0f} GB, {need['set_on_disk_gb']:.1f} GB on disk, of which "
            f"{need['cached_share']:.0%} stay in memory; {need['disk_mb_per_s']:.0f} MB/s from disk"
        )
    return lines


def _both_splits(folder: Path) -> PairSet:
    """Return the training pairs and, where there are some, the test pairs after them."""
    train = load_pairs(folder, "train")
    try:
        return replace(train, pairs=[*train.pairs, *load_pairs(folder, "test").pairs])
    except MissingSplitError:
        return train


def _keys(pairs: int, samples: int, number: int) -> list[tuple[int, int]]:
    """Return (pass, index) of samples in a random order that a seed decides."""
    order = np.random.default_rng((SEED, number)).permutation(pairs)
    return [(number, int(order[position % pairs])) for position in range(samples)]


def _file_bytes(pair: Pair) -> int:
    assert isinstance(pair, FilePair), f"plain pairs are files, not {pair}"
    return pair.color_path.stat().st_size + pair.depth_path.stat().st_size


def _times(one: list[float], other: list[float]) -> float:
    """Return how many times faster the other is, as the median of the rounds' ratios."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _own_memory_bytes() -> int:
    """Return what this process has for itself on Linux: without mapped files, which give way where memory is short."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) * 1024


def _p95(values: list[float]) -> float:
    return float(np.percentile(values, 95))


if __name__ == "__main__":
    typer.run(main)
