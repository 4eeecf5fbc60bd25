"""Score a predictor on RGB-D pairs under one protocol."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import LightDepthError
from ..pairs import Pair, PairSet
from .metrics import DepthMetrics
from .protocol import Protocol
from .scores import Scorer, Scores

__all__ = ["EvalResult", "Predictor", "evaluate", "predict_views"]

SCHEMA = "lightdepth.eval/1"

# uint8 RGB (H, W, 3) -> float32 (h, w) metres of any size
Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


@dataclass(frozen=True)
class EvalResult:
    """A model's scores with everything needed to compare them fairly."""

    model: str
    protocol: Protocol
    data: str
    packaging: str
    split: str
    samples: int
    scores: Scores

    @property
    def metrics(self) -> DepthMetrics:
        """The average that the protocol calls its result."""
        return self.scores.headline(self.protocol.averaging)

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
            **self.scores.to_dict(),
        }


def evaluate(
    predictor: Predictor,
    pairs: PairSet,
    protocol: Protocol,
    *,
    model: str,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> EvalResult:
    """Predict every pair once and average as the protocol says.

    Args:
        predictor: takes uint8 RGB (H, W, 3), returns metres of any size; resized to the truth's.
        model: its name in the result.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: no pairs, a pair that can't be read or has no valid pixel, or a prediction that fails; the
            image is named.
    """
    scorer = Scorer(protocol)
    for pair in progress(pairs.pairs):
        frame = pair.read()
        try:
            views = predict_views(predictor, frame.image, frame.depth_m, protocol)
        except LightDepthError as error:
            raise LightDepthError(f"{pair.name}: {error}") from error
        for prediction, truth_m in views:
            scorer.add(prediction, truth_m, pair.name, pair.scene)
    return EvalResult(model, protocol, pairs.name, pairs.packaging, pairs.split, len(pairs), scorer.scores())


def predict_views(
    predictor: Predictor, image: NDArray[np.uint8], truth_m: NDArray[np.float32], protocol: Protocol
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Predict a frame as a protocol wants it: one pair of prediction and truth, or two where mirror images count.

    Raises:
        LightDepthError: the prediction fails, or the protocol doesn't serve frames of this size.
    """
    image, truth_m = protocol.view(image, truth_m)
    prediction = predictor(image)
    if not (protocol.flip_tta or protocol.flip_as_sample):
        return [(prediction, truth_m)]
    flipped = predictor(np.ascontiguousarray(image[:, ::-1]))
    if protocol.flip_as_sample:
        return [(prediction, truth_m), (flipped, np.ascontiguousarray(truth_m[:, ::-1]))]
    return [((prediction + flipped[:, ::-1]) / np.float32(2), truth_m)]
