"""The Protocol of everything that runs a network."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ..spec import ModelSpec

__all__ = ["Backend"]


class Backend(Protocol):
    """A loaded network on one device.

    `name` is the engine ("onnxruntime", "torch"), `device` what it runs on ("cpu", "cuda"), read back after loading.
    It may have a `device_reason`, half a sentence that says why it is that device, and a `largest_batch` that it runs
    at once.
    """

    spec: ModelSpec
    name: str
    device: str

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map normalised images (B, 3, H, W) to metres (B, 1, H, W), both float32 and C-contiguous."""
        ...

    def close(self) -> None:
        """Free what was allocated; `run` raises LightDepthError afterwards, a second `close` does nothing."""
        ...
