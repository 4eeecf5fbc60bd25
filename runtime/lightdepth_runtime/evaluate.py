"""Score a predictor on RGB-D pairs under one protocol."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import __version__
from .errors import LightDepthError
from .metrics import DepthMetrics, image_metrics, mean_metrics
from .pairs import Pair, PairSet
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
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> EvalResult:
    """Predict every pair and average the per-image metrics.

    Args:
        predictor: takes uint8 RGB (H, W, 3), returns metres of any size; resized to the truth's.
        model: its name in the result.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: no pairs, a pair that can't be read or has no valid pixel, or a prediction that fails; the
            image is named.
    """
    per_image = []
    for pair in progress(pairs.pairs):
        frame = pair.read()
        try:
            prediction = _predict(predictor, frame.image, flip_tta=protocol.flip_tta)
        except LightDepthError as error:
            raise LightDepthError(f"{pair.name}: {error}") from error
        per_image.append(image_metrics(prediction, frame.depth_m, protocol, pair.name))
    return EvalResult(
        model, protocol, pairs.name, pairs.packaging, pairs.split, len(per_image), mean_metrics(per_image)
    )


def _predict(predictor: Predictor, image: NDArray[np.uint8], *, flip_tta: bool) -> NDArray[np.float32]:
    """Predict once, or as the mean of the image and its mirror image turned back."""
    prediction = predictor(image)
    if not flip_tta:
        return prediction
    flipped = predictor(np.ascontiguousarray(image[:, ::-1]))
    return (prediction + flipped[:, ::-1]) / np.float32(2)
