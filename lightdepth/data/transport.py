"""How batches come from the loader's workers: through shared memory, or through pipes where that is too small."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import get_worker_info

from .sample import Sample

__all__ = ["PREFETCHED", "SHARED_MEMORY", "fits_shared_memory", "from_pipe", "through_pipe"]

SHARED_MEMORY = Path("/dev/shm")
PREFETCHED = 2  # batches that each worker has ready, PyTorch's default
HELD = 2  # batches that the training process holds: the one it trains on and the next, on its way to the device


def fits_shared_memory(batch_bytes: int, workers: int, processes: int, folder: Path = SHARED_MEMORY) -> bool:
    """Tell whether /dev/shm has room for the batches that are on their way at the same time.

    Docker gives a container 64 MB; a batch of eight at 640x480 is 39 MB. Where it overflows, a worker is killed, or
    its batch never arrives.
    """
    try:
        free_bytes = shutil.disk_usage(folder).free
    except OSError:  # no such folder: PyTorch's memory isn't limited by it
        return True
    return batch_bytes * (PREFETCHED * workers + HELD) * processes <= free_bytes


def through_pipe(batch: Any) -> Any:  # Any: a Sample, of tensors and then of arrays
    """Turn a worker's tensors into arrays, whose bytes go through a pipe: slower, and without shared memory."""
    if get_worker_info() is None:
        return batch
    return batch._replace(**{name: part.numpy() for name, part in batch._asdict().items() if isinstance(part, Tensor)})


def from_pipe(batch: Sample, device: torch.device) -> Sample:
    """Turn what `through_pipe` sent into tensors on a device; a batch of tensors stays as it is."""
    arrays = {name: part for name, part in batch._asdict().items() if isinstance(part, np.ndarray)}
    return batch._replace(**{name: torch.from_numpy(array).to(device) for name, array in arrays.items()})
