"""A model that a bench times: one of ours, or another project's network."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ..backends import Backend, open_backend
from ..backends.backend import staged
from ..backends.baseline import BaselineBackend, BaselineSpec, baseline_input, is_baseline, open_baseline
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..images.preprocess import preprocess, resize_depth
from ..spec import ModelSpec
from .peak_memory import measure_fresh_run

__all__ = ["Candidate", "open_candidate"]


@dataclass(frozen=True)
class Candidate:
    """A model ready to be timed, with the figures that need no clock."""

    backend: Backend | BaselineBackend
    size_bytes: int
    peak_memory_bytes: int | None
    cold_start_ms: float | None = None

    def input_for(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Preprocess a uint8 RGB frame as the model wants it: (1, 3, input_height, input_width).

        It stands in the backend's own staging memory where there is some, as a DepthEstimator's does.
        """
        spec = self.backend.spec
        image = baseline_input(frame, spec) if isinstance(spec, BaselineSpec) else preprocess(frame, spec)
        return staged(cast("Backend", self.backend), image[None])

    def whole_call(self, frame: NDArray[np.uint8]) -> Callable[[], object]:
        """Return what does all that a frame needs: preprocessing, network, resizing to the frame (H, W)."""
        if isinstance(self.backend.spec, ModelSpec):
            return partial(DepthEstimator(cast("Backend", self.backend)), frame)

        def call() -> NDArray[np.float32]:
            output = self.backend.run(self.input_for(frame))
            return resize_depth(output.reshape(output.shape[-2:]), frame.shape[0], frame.shape[1])

        return call


def open_candidate(path: Path, device: str = "auto", threads: int | None = None, *, memory: bool = True) -> Candidate:
    """Open a model file of any kind for a bench; `memory` also starts it in a process of its own.

    Raises:
        LightDepthError: the file can't be opened on that device.
    """
    backend = open_baseline(path, device, threads) if is_baseline(path) else open_backend(path, device, threads)
    if isinstance(backend.spec, ModelSpec) and backend.spec.frame_height is not None:
        backend.close()
        raise LightDepthError(
            f"{path.name} takes a camera's frame, so its time would include preprocessing that the others' doesn't; "
            "time the file without `.frame` in its name."
        )
    if not memory:
        return Candidate(backend, path.stat().st_size, None)
    fresh = measure_fresh_run(path, device, threads)
    return Candidate(backend, path.stat().st_size, fresh.peak_bytes, fresh.cold_start_ms)
