"""Score a predictor on RGB-D pairs under one protocol."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .metrics import DepthMetrics, image_metrics, mean_metrics
from .pairs import PairSet
from .protocol import Protocol

__all__ = ["EvalResult", "Predictor", "evaluate"]

SCHEMA = "lightdepth.eval/1"

# uint8 RGB (H, W, 3) -> float32 (h, w) metres of any size
Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class EvalResult:
    """Mean metrics of a model with everything needed to compare them fairly."""

    model: str
    protocol: Protocol
    data: str
    packaging: str
    split: str
    samples: int
    metrics: DepthMetrics

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.eval/1`: metric names flat, units in the names."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "model": self.model,
            "protocol": self.protocol.to_dict(),
            "data": {"name": self.data, "packaging": self.packaging, "split": self.split},
            "samples": self.samples,
            **self.metrics.to_dict(),
        }


def evaluate(
    predictor: Predictor,
    pairs: PairSet,
    protocol: Protocol,
    *,
    model: str,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,  # Any: passes the pairs through
) -> EvalResult:
    """Predict every pair and average the per-image metrics.

    Args:
        predictor: takes uint8 RGB (H, W, 3), returns metres of any size; resized to the truth's.
        model: its name in the result.
        progress: wraps the iterable to show progress.
    """
    per_image = []
    for pair in progress(pairs.pairs):
        frame = pair.read()
        prediction = predictor(frame.image)
        if protocol.flip_tta:
            flipped = predictor(np.ascontiguousarray(frame.image[:, ::-1]))
            prediction = (prediction + flipped[:, ::-1]) / np.float32(2)
        per_image.append(image_metrics(prediction, frame.depth_m, protocol, pair.name))
    return EvalResult(
        model, protocol, pairs.root.name, pairs.packaging, pairs.split, len(per_image), mean_metrics(per_image)
    )
