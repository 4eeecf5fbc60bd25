"""A backend without a network, for tests of code that embeds the runtime."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import ModelSpec
from .backend import NamedOutputs

__all__ = ["FakeBackend"]


class FakeBackend(NamedOutputs):
    """Answer every pixel with 1 + the mean of its squared normalised channels, in metres: it follows the input.

    Where the spec has a `sigma_tensor`, sigma is a tenth of that number.
    """

    name = "fake"
    device = "cpu"

    def __init__(self, spec: ModelSpec | None = None) -> None:
        self.spec = spec or ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)
        self.closed = False

    def _run(self, names: Sequence[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        if self.closed:
            raise LightDepthError("This model was closed; load it again.")
        depth_m = 1 + np.square(batch).mean(axis=1, keepdims=True, dtype=np.float32)  # (B, 3, H, W) -> (B, 1, H, W)
        return [depth_m, np.float32(0.1) * depth_m][: len(names)]

    def close(self) -> None:
        """Remember that it was closed."""
        self.closed = True
