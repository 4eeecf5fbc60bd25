"""Feed training: augmented pairs as tensors, in an order that seed and epoch decide alone."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import Pair, PairSet, scenes_of
from lightdepth_runtime.spec import ModelSpec

from ..config import TrainConfig
from .augment import Augmentation, draw_view
from .sample import Lessons, Sample
from .workers import START_METHOD, limit_worker_threads

__all__ = [
    "EpochSampler",
    "TrainingPairs",
    "build_loader",
    "collate",
    "split_scenes",
]

NAMES_SHOWN = 4  # in an error about a batch


class TrainingPairs(Dataset[Sample]):
    """Pairs by (pass, index): the random generator is seeded by both, so workers and restarts change nothing."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        spec: ModelSpec,
        settings: Augmentation,
        seed: int,
        lessons: Lessons | None = None,
    ) -> None:
        self._pairs, self._spec, self._settings, self._seed, self._lessons = pairs, spec, settings, seed, lessons

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, key: tuple[int, int]) -> Sample:
        """Return one pair under a random view."""
        return self._read(key, torch.empty(3, self._spec.input_height, self._spec.input_width))

    def __getitems__(self, keys: Sequence[tuple[int, int]]) -> Sample:
        """Return a batch, as PyTorch's loader asks for it; images are written into it rather than stacked after."""
        image = torch.empty(len(keys), 3, self._spec.input_height, self._spec.input_width)
        return collate([self._read(key, out) for key, out in zip(keys, image, strict=True)], image)

    def _read(self, key: tuple[int, int], image: Tensor) -> Sample:
        """Write one pair's image into `image` (3, H, W); return it with the rest."""
        number, index = key
        pair = self._pairs[index]
        rng = np.random.default_rng((self._seed, number, index))
        frame = pair.read()
        height, width = frame.depth_m.shape
        view = draw_view(height, width, self._settings, rng)
        size = self._spec.input_height, self._spec.input_width
        view.network_input(frame.image, self._spec, image.numpy())
        depth_m = self._as_tensor(view.depth(frame.depth_m, *size))
        teacher_m = teacher_image = None
        if self._lessons:
            label_m = self._lessons.labels[index].read()
            teacher_m = self._as_tensor(view.dense_depth(label_m, height, width, *size))
            if teacher := self._lessons.network:
                teacher_image = torch.from_numpy(view.network_input(frame.image, teacher))
        return Sample(image, depth_m, teacher_m, teacher_image, [pair.name])

    def _as_tensor(self, depth_m: NDArray[np.float32]) -> Tensor:
        """Leave out what is beyond the range that is trained: (H, W) -> (1, H, W)."""
        if not depth_m.max() < self._spec.max_depth_m:  # NaN too
            depth_m = np.where(depth_m < self._spec.max_depth_m, depth_m, np.float32(0))
        return torch.from_numpy(depth_m)[None]


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (pass, index) in a new order each pass; an epoch has `passes` of them.

    The trainer sets `epoch`. There is no `set_epoch` on purpose: Accelerate would call it with its own count, which
    starts at 0 again after a resume.
    """

    def __init__(self, size: int, seed: int, passes: int = 1) -> None:
        self._size, self._seed, self._passes = size, seed, passes
        self.epoch = 0

    def __len__(self) -> int:
        return self._size * self._passes

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for number in range(self.epoch * self._passes, (self.epoch + 1) * self._passes):
            order = np.random.default_rng((self._seed, number)).permutation(self._size)
            yield from ((number, int(index)) for index in order)


def collate(samples: Sequence[Sample], image: Tensor | None = None) -> Sample:
    """Stack samples along a new first dimension; `image` holds their images where they are side by side already.

    Raises:
        LightDepthError: no sample has a valid depth, of its own or of a teacher's.
    """
    names = [name for sample in samples for name in sample.names]
    depths = (depth for sample in samples for depth in (sample.depth_m, sample.teacher_m) if depth is not None)
    if not any((depth > 0).any() for depth in depths):
        raise LightDepthError(
            f"A training batch has no valid depth: {', '.join(names[:NAMES_SHOWN])}"
            f"{' ...' if len(names) > NAMES_SHOWN else ''}; check the depth files' unit and remove empty ones."
        )
    return Sample(
        torch.stack([s.image for s in samples]) if image is None else image,
        torch.stack([s.depth_m for s in samples]),
        _stack([s.teacher_m for s in samples]),
        _stack([s.teacher_image for s in samples]),
        names,
    )


def _as_it_is(batch: Any) -> Sample:  # Any: PyTorch's types don't know of batches from `__getitems__`
    """Pass on what `TrainingPairs` has collated; a lambda couldn't be sent to a worker."""
    return batch


def _stack(tensors: Sequence[Tensor | None]) -> Tensor | None:
    """Stack what all samples have or none has."""
    there = [tensor for tensor in tensors if tensor is not None]
    return torch.stack(there) if there else None


def build_loader(
    pairs: Sequence[Pair],
    spec: ModelSpec,
    config: TrainConfig,
    lessons: Lessons | None = None,
    *,
    pin_memory: bool,
) -> tuple[DataLoader[Sample], EpochSampler]:
    """Build the loader of augmented batches, and the sampler whose `epoch` decides their order."""
    sampler = EpochSampler(len(pairs), config.seed, config.passes_per_epoch)
    settings = Augmentation(config.zoom_max, config.zoom_share, config.flip, config.color_jitter)
    loader = DataLoader(
        TrainingPairs(pairs, spec, settings, config.seed, lessons),
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.num_workers,
        collate_fn=_as_it_is,
        worker_init_fn=limit_worker_threads,
        drop_last=len(pairs) >= config.batch_size,  # BatchNorm over a batch of one is noise
        # Seeds worker processes. A generator of its own leaves the global one, which dropout draws from, as it was
        # saved: a resumed run starts its workers once more than an uninterrupted one.
        generator=torch.Generator().manual_seed(config.seed),
        # Workers live for the whole run: the epoch travels in the sampler's keys.
        persistent_workers=config.num_workers > 0,
        multiprocessing_context=START_METHOD if config.num_workers else None,
        pin_memory=pin_memory,
    )
    return loader, sampler


def split_scenes(pairs: PairSet, share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Hold out whole scenes, chosen by the seed, until `share` of the pairs is reached; returns (train, validation).

    Frames of one room are near copies: a split by frame would validate on what was trained on.

    Raises:
        LightDepthError: fewer than two scenes.
    """
    scenes = scenes_of(pairs)
    if len(scenes) < 2:
        raise LightDepthError(
            f"{pairs.root} has {len(pairs)} training pairs in one scene (folder) {scenes[0]!r}, and val_fraction needs "
            "two; give --val-data, set val_fraction to 0, or sort the pairs into folders."
        )
    order = np.random.default_rng(seed).permutation(len(scenes))
    held_out: set[str] = set()
    counts = Counter(pair.scene for pair in pairs.pairs)
    for position in order[:-1]:
        if sum(counts[scene] for scene in held_out) >= share * len(pairs):
            break
        held_out.add(scenes[position])
    validation = [i for i, pair in enumerate(pairs.pairs) if pair.scene in held_out]
    training = [i for i, pair in enumerate(pairs.pairs) if pair.scene not in held_out]
    return pairs.subset(training, "train"), pairs.subset(validation, "validation")
