"""How batches come from the loader's workers: through shared memory, or through pipes where that is too small."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightdepth_runtime.errors import LightDepthError

from .sample import Sample
from .workers import WORKER_DIED

__all__ = ["PREFETCHED", "SHARED_MEMORY", "fits_shared_memory", "receive", "through_pipe"]

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
    return batch._replace(**{name: part.numpy() for name, part in batch._asdict().items() if isinstance(part, Tensor)})


def receive(loader: Iterable[Sample], device: torch.device) -> Iterator[Sample]:
    """Yield a loader's batches as tensors; what came through a pipe is moved to the device.

    Raises:
        LightDepthError: an error inside a worker, without the traceback that PyTorch puts before it; a worker died.
    """
    try:
        for batch in loader:
            arrays = {name: part for name, part in batch._asdict().items() if isinstance(part, np.ndarray)}
            yield batch._replace(**{name: _send(array, device) for name, array in arrays.items()})
    except LightDepthError as error:
        sentence = str(error).strip().splitlines()[-1]
        raise LightDepthError(sentence.removeprefix(f"{LightDepthError.__module__}.LightDepthError: ")) from error
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise LightDepthError(WORKER_DIED) from error


def _send(array: NDArray[np.float32], device: torch.device) -> Tensor:
    tensor = torch.from_numpy(array)
    # A GPU copies page-locked memory while it computes; for the copy of any other the host waits.
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)
