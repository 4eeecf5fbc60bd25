"""Before the first epoch: is there a reading to learn from, and one to be scored by?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import Protocol
from lightdepth_runtime.pairs import FrameData, PairSet

from ..data.loader import no_readings

__all__ = ["check_training_readings", "check_validation_readings"]

PROBED = 32  # pairs, spread over the set, that are looked at; one with a reading is enough


def check_training_readings(training: PairSet, max_depth_m: float) -> None:
    """Refuse pairs from which nothing can be learned.

    Raises:
        LightDepthError: none of some pairs has a reading under `max_depth_m`.
    """
    probe = training.spread(PROBED)
    if not _any(probe, lambda frame: (frame.depth_m > 0) & (frame.depth_m < max_depth_m)):
        raise no_readings(len(probe), max_depth_m, [pair.name for pair in probe.pairs])


def check_validation_readings(validation: PairSet, protocol: Protocol) -> None:
    """Refuse pairs that would give no score.

    Raises:
        LightDepthError: none of some pairs has valid depth under the protocol.
    """
    probe = validation.spread(PROBED)
    if not _any(probe, lambda frame: protocol.valid(protocol.view(frame.image, frame.depth_m)[1])):
        raise LightDepthError(
            f"None of {len(probe)} validation pairs has valid depth under protocol {protocol.describe()!r}; check the "
            "depth files' unit and max_depth_m, or set val_fraction to 0."
        )


def _any(pairs: PairSet, counts: Callable[[FrameData], NDArray[np.bool_]]) -> bool:
    return any(counts(pair.read()).any() for pair in pairs.pairs)
