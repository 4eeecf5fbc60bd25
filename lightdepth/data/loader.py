"""Feed training: augmented pairs as tensors, in an order that seed and epoch decide alone."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import Pair
from lightdepth_runtime.spec import ModelSpec

from ..config import TrainConfig
from .augment import Augmentation, draw_view, without_border
from .compact import CompactPairs
from .extra import shards_of, weights_of
from .order import EpochSampler, number_shards
from .read_ahead import read_ahead
from .sample import Lessons, Sample
from .transport import PREFETCHED, SHARED_MEMORY, fits_shared_memory, through_pipe
from .workers import START_METHOD, start_worker

__all__ = ["TrainingPairs", "build_loader", "collate", "no_readings"]

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
        self._pairs = CompactPairs(pairs)
        self._spec, self._settings, self._seed, self._lessons = spec, settings, seed, lessons

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
        """Write one pair's image into `image` (3, H, W); return it with the rest.

        The next pair takes the place of one without a reading; the sample names those left out.

        Raises:
            LightDepthError: no pair has a reading, or one can't be read.
        """
        number, index = key
        rng = np.random.default_rng((self._seed, number, index))
        left_out = []
        for _ in range(len(self._pairs)):
            sample = self._view(index, rng, image)
            if sample is not None:
                return sample._replace(left_out=left_out)
            left_out.append(self._pairs[index].name)
            index = (index + 1) % len(self._pairs)
        raise no_readings(len(self._pairs), self._spec.max_depth_m, left_out)

    def _view(self, index: int, rng: np.random.Generator, image: Tensor) -> Sample | None:
        """Return a random view of a pair, the whole frame where the view has no reading, or None where it has none."""
        pair = self._pairs[index]
        frame = pair.read()
        truth_m = without_border(frame.depth_m, self._settings.border)
        height, width = truth_m.shape
        size = self._spec.input_height, self._spec.input_width
        label_m = self._lessons.labels[index].read() if self._lessons else None
        for settings in (self._settings, replace(self._settings, zoom_share=0.0)):
            view = draw_view(height, width, settings, rng)
            depth_m = self._as_tensor(view.depth(truth_m, *size))
            teacher_m = None
            if label_m is not None:
                teacher_m = self._as_tensor(view.dense_depth(label_m, height, width, *size))
            if (depth_m > 0).any() or (teacher_m is not None and (teacher_m > 0).any()):
                break
        else:
            return None
        view.network_input(frame.image, self._spec, image.numpy())
        teacher_image = None
        if self._lessons and (teacher := self._lessons.network):
            teacher_image = torch.from_numpy(view.network_input(frame.image, teacher))
        return Sample(image, depth_m, teacher_m, teacher_image, [pair.name])

    def _as_tensor(self, depth_m: NDArray[np.float32]) -> Tensor:
        """Leave out what is beyond the range that is trained: (H, W) -> (1, H, W)."""
        if not depth_m.max() < self._spec.max_depth_m:  # NaN too
            depth_m = np.where(depth_m < self._spec.max_depth_m, depth_m, np.float32(0))
        return torch.from_numpy(depth_m)[None]


def no_readings(pairs: int, max_depth_m: float, names: Sequence[str]) -> LightDepthError:
    """Return the error for pairs from which nothing can be learned."""
    return LightDepthError(
        f"None of {pairs} training pairs has a reading under max_depth_m, {max_depth_m:g} m: "
        f"{', '.join(names[:NAMES_SHOWN])}{' ...' if len(names) > NAMES_SHOWN else ''}; check the depth files' unit, "
        "or raise max_depth_m."
    )


def collate(samples: Sequence[Sample], image: Tensor | None = None) -> Sample:
    """Stack samples along a new first dimension; `image` holds their images where they are side by side already."""
    return Sample(
        torch.stack([s.image for s in samples]) if image is None else image,
        torch.stack([s.depth_m for s in samples]),
        _stack([s.teacher_m for s in samples]),
        _stack([s.teacher_image for s in samples]),
        [name for sample in samples for name in sample.names],
        [name for sample in samples for name in sample.left_out],
    )


def _as_it_is(batch: Any) -> Any:  # Any: PyTorch's types don't know of batches from `__getitems__`
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
    processes: int = 1,
    say: Callable[[str], object] = str,
) -> tuple[DataLoader[Sample], EpochSampler]:
    """Build the loader of augmented batches, and the sampler whose `epoch` decides their order.

    Where shared memory is too small for the batches of `processes` training processes on this machine, workers send
    them through pipes, which is said; `transport.receive` takes them.

    Raises:
        LightDepthError: the first pairs can't be read, none has a reading, or the cache is too small for the order.
    """
    numbers, shards = number_shards(shards_of(pairs))
    mixed = config.shuffle_shards
    in_flight = processes * config.batch_size * (1 + config.num_workers * PREFETCHED)
    ahead = read_ahead(numbers, shards, mixed=mixed, in_flight=in_flight)
    sampler = EpochSampler(
        weights_of(pairs), config.seed, config.passes_per_epoch, shards=numbers, mixed=mixed, ahead=ahead
    )
    settings = Augmentation(
        config.zoom_max, config.zoom_share, config.flip, config.color_jitter, config.border, config.roll_deg
    )
    dataset = TrainingPairs(pairs, spec, settings, config.seed, lessons)
    send: Callable[[Any], Any] = _as_it_is
    if config.num_workers:
        batch_bytes = config.batch_size * dataset[0, 0].size_bytes
        if not fits_shared_memory(batch_bytes, config.num_workers, processes):
            send = through_pipe
            say(
                f"{SHARED_MEMORY} is too small for batches of {batch_bytes / 1e6:.0f} MB, so workers send them through "
                "pipes, which is slower; docker run --shm-size=2g (or --ipc=host) gives it more, num_workers 0 needs "
                "none."
            )
    loader = DataLoader(
        dataset,
        batch_size=config.batch_size,
        sampler=sampler,
        num_workers=config.num_workers,
        prefetch_factor=PREFETCHED if config.num_workers else None,
        collate_fn=send,
        worker_init_fn=start_worker,
        drop_last=len(sampler) >= config.batch_size,  # BatchNorm over a batch of one is noise
        # Seeds worker processes. A generator of its own leaves the global one, which dropout draws from, as it was
        # saved: a resumed run starts its workers once more than an uninterrupted one.
        generator=torch.Generator().manual_seed(config.seed),
        # Workers live for the whole run: the epoch travels in the sampler's keys.
        persistent_workers=config.num_workers > 0,
        multiprocessing_context=START_METHOD if config.num_workers else None,
        pin_memory=pin_memory,
    )
    return loader, sampler
