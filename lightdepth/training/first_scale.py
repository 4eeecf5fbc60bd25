"""Before the first epoch: bring a checkpoint's metres to pairs that lie several times nearer or farther."""

from __future__ import annotations

import numpy as np

from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.spec import ModelSpec

from ..checkpoints.backend import TorchBackend
from ..network.model import LightDepth

__all__ = ["match_scale"]

# Rooms differ by a factor of two or so, and training bridges that. To a street it is eight: learned step by step, it
# costs most of what the network knew.
LEAST_FACTOR = 3.0
PROBED = 12  # pairs, spread over the set


def match_scale(network: LightDepth, spec: ModelSpec, training: PairSet) -> float | None:
    """Multiply a network's depth by the median ratio of truth to it, where that is `LEAST_FACTOR` or more either way.

    Returns:
        the factor; None where depth stays as it is, or no pair has a reading.

    Raises:
        LightDepthError: a pair that can't be read.
    """
    estimator = DepthEstimator(TorchBackend(network, spec, "cpu"))
    ratios = []
    for pair in training.spread(PROBED).pairs:
        frame = pair.read()
        valid = (frame.depth_m > spec.min_depth_m) & (frame.depth_m < spec.max_depth_m)
        if valid.any():
            predicted_m = resize_depth(estimator(frame.image), *frame.depth_m.shape)[valid]
            ratios.append(float(np.median(frame.depth_m[valid] / np.maximum(predicted_m, spec.min_depth_m))))
    factor = float(np.median(ratios)) if ratios else 1.0
    if 1 / LEAST_FACTOR < factor < LEAST_FACTOR:
        return None
    network.head.scale_depth(factor)
    return factor
