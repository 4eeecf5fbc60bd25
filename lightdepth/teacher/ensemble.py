"""Several teachers as one: the mean of their log depth, each asked for the frame and for its mirror image."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import ExitStack

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.closing import Closing
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.spec import DepthKind, Intrinsics

from .teacher import Teacher

__all__ = ["Ensemble", "open_teacher"]

SMALLEST_DEPTH_M = 1e-3  # keeps the logarithm finite


class Ensemble(Closing):
    """Metric models of any size, asked together: less wrong than each, since they err in different places.

    Args:
        sources: as `Teacher` takes them, at least one.
        device: as `DepthEstimator.load` takes it.
        threads: of the CPU.

    Raises:
        LightDepthError: no such model, or a relative one, whose depth has no scale to average.
    """

    kind: DepthKind = "metric"

    def __init__(self, sources: Sequence[str], device: str = "auto", threads: int | None = None) -> None:
        with ExitStack() as stack:
            self._members = [stack.enter_context(Teacher(source, device, threads)) for source in sources]
            for member in self._members:
                if member.kind != "metric":
                    raise LightDepthError(
                        f"{member.source} predicts relative depth, which can't be averaged with others; name it alone "
                        "in distill_from, or metric models only."
                    )
            self._stack = stack.pop_all()
        self.source = " + ".join(sources)
        self.intrinsics: Intrinsics | None = self._members[0].intrinsics
        self.fit = self._members[0].fit  # scales from its camera to another
        self.id = hashlib.sha256("\n".join(["ensemble", *(m.id for m in self._members)]).encode()).hexdigest()

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict a frame (H, W, 3): (h, w) of the largest member's resolution, in metres of the first one's camera."""
        mirrored = np.ascontiguousarray(image[:, ::-1])
        logs: list[NDArray[np.float32]] = []
        for member in self._members:
            fit = member.fit(np.empty((0, 0), np.float32), image, np.empty((0, 0), np.float32), self.intrinsics)
            for depth_m in (member(image), member(mirrored)[:, ::-1]):
                logs.append(np.log(np.maximum(fit.apply(depth_m), SMALLEST_DEPTH_M)).astype(np.float32))
        height, width = max((log.shape for log in logs), key=lambda shape: shape[0] * shape[1])
        resized = [resize_depth(np.ascontiguousarray(log), height, width) for log in logs]
        return np.exp(np.mean(resized, axis=0))

    def close(self) -> None:
        """Free the models."""
        self._stack.close()


def open_teacher(sources: Sequence[str], device: str = "auto", threads: int | None = None) -> Teacher | Ensemble:
    """Open one model as it is, or several as an ensemble.

    Raises:
        LightDepthError: see `Teacher` and `Ensemble`.
    """
    return Teacher(sources[0], device, threads) if len(sources) == 1 else Ensemble(sources, device, threads)
