"""A backend without a network, for tests of code that embeds the runtime."""

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import ModelSpec
from .backend import sigma_tensor_of

__all__ = ["FakeBackend"]


class FakeBackend:
    """Answer every pixel with 1 + the mean of its squared normalised channels, in metres: it follows the input.

    Where the spec has a `sigma_tensor`, sigma is a tenth of that number.
    """

    name = "fake"
    device = "cpu"

    def __init__(self, spec: ModelSpec | None = None) -> None:
        self.spec = spec or ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)
        self.closed = False

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (B, 3, H, W) to (B, 1, H, W)."""
        if self.closed:
            raise LightDepthError("This model was closed; load it again.")
        return 1 + np.square(batch).mean(axis=1, keepdims=True, dtype=np.float32)

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map (B, 3, H, W) to depth and sigma, (B, 1, H, W) each."""
        sigma_tensor_of(self.spec)
        depth_m = self.run(batch)
        return depth_m, np.float32(0.1) * depth_m

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
