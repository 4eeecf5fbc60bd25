"""Predict frames as a protocol wants them: as they are, mirrored too, several at a time, scaled to their cameras."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..pairs import FrameData, Pair
from ..pairs.pair import check_camera
from ..parallel import in_batches
from ..spec import Intrinsics
from .protocol import Protocol

__all__ = ["Predicted", "Predictor", "cameras_of", "focal_factor", "predict", "predict_views", "sigma_of"]

NAMES_SHOWN = 2  # of a batch that fails

# uint8 RGB (H, W, 3) -> float32 (h, w) metres of any size
Predictor = Callable[[NDArray[np.uint8]], NDArray[np.float32]]


def predict_views(
    predictor: Predictor, image: NDArray[np.uint8], truth_m: NDArray[np.float32], protocol: Protocol
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Predict a frame as a protocol wants it: one pair of prediction and truth, or two where mirror images count.

    Raises:
        LightDepthError: the prediction fails, or the protocol doesn't serve frames of this size.
    """
    image, truth_m = protocol.view(image, truth_m)
    return _views([predictor(seen) for seen in _seen(image, protocol)], truth_m, protocol)


def sigma_of(predictor: Predictor, image: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Predict sigma of an image (H, W, 3), at its size; None where the predictor has none."""
    return predictor.predict(image).sigma if _has_sigma(predictor) else None


def _has_sigma(predictor: Predictor) -> TypeGuard[DepthEstimator]:
    return isinstance(predictor, DepthEstimator) and predictor.spec.sigma_tensor is not None


@dataclass(frozen=True)
class Predicted:
    """A frame's views, each a prediction with its truth, and sigma of the first one's prediction where there is one."""

    name: str
    scene: str
    views: list[tuple[NDArray[np.float32], NDArray[np.float32]]]
    sigma: NDArray[np.float32] | None


def predict(
    predictor: Predictor, frames: Sequence[tuple[Pair, FrameData]], protocol: Protocol, *, batched: bool
) -> list[Predicted]:
    """Predict frames, several at a time where that can be.

    Raises:
        LightDepthError: a prediction fails; the images are named.
    """
    names = ", ".join(pair.name for pair, _ in frames[:NAMES_SHOWN])
    sigmas: list[NDArray[np.float32]] = []
    try:
        seen = [protocol.view(frame.image, frame.depth_m) for _, frame in frames]
        images = [view for image, _ in seen for view in _seen(image, protocol)]
        if _has_sigma(predictor):
            both = predictor.predict_batch(images) if batched else [predictor.predict(image) for image in images]
            predictions, sigmas = [b.depth_m for b in both], [b.sigma for b in both]
        elif batched and isinstance(predictor, DepthEstimator):
            predictions = predictor.infer_batch(images)
        else:
            predictions = [predictor(image) for image in images]
    except LightDepthError as error:
        raise LightDepthError(f"{names}: {error}") from error
    each = len(images) // len(frames)
    predicted = []
    own_sigmas = sigmas[::each] or [None] * len(frames)  # not those of mirror images
    parts = zip(frames, seen, in_batches(predictions, each), own_sigmas, strict=True)
    for (pair, frame), (_, truth_m), depths_m, sigma in parts:
        if protocol.focal:
            factor = np.float32(focal_factor(predictor, pair, frame.depth_m.shape) or 1.0)
            depths_m = [depth_m * factor for depth_m in depths_m]
        predicted.append(Predicted(pair.name, pair.scene, _views(depths_m, truth_m, protocol), sigma))
    return predicted


def focal_factor(predictor: Predictor, pair: Pair, size: tuple[int, ...]) -> float | None:
    """Return what scales depth from a model's camera to a pair's, in a frame of `size` (H, W); None: unknown.

    Raises:
        LightDepthError: the pair's camera is for frames of another shape.
    """
    both = cameras_of(predictor, pair)
    if both is None:
        return None
    ours, theirs = both
    check_camera(theirs, pair.name, size)
    height, width = size
    focal_px = math.sqrt(theirs.fx * width / theirs.width * theirs.fy * height / theirs.height)
    return ours.depth_factor(focal_px, height, width)


def cameras_of(predictor: Predictor, pair: Pair) -> tuple[Intrinsics, Intrinsics] | None:
    """Return the camera that a model was trained with and a pair's; None where one of them is unknown."""
    ours = predictor.spec.intrinsics if isinstance(predictor, DepthEstimator) else None
    return None if ours is None or pair.intrinsics is None else (ours, pair.intrinsics)


def _seen(image: NDArray[np.uint8], protocol: Protocol) -> list[NDArray[np.uint8]]:
    """Return what the model is shown of a frame: the frame, and its mirror image where a protocol wants it."""
    if not (protocol.flip_tta or protocol.flip_as_sample):
        return [image]
    return [image, np.ascontiguousarray(image[:, ::-1])]


def _views(
    predictions: Sequence[NDArray[np.float32]], truth_m: NDArray[np.float32], protocol: Protocol
) -> list[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Return each prediction with its truth."""
    if len(predictions) == 1:
        return [(predictions[0], truth_m)]
    prediction, flipped = predictions
    if protocol.flip_as_sample:
        return [(prediction, truth_m), (flipped, np.ascontiguousarray(truth_m[:, ::-1]))]
    return [((prediction + flipped[:, ::-1]) / np.float32(2), truth_m)]
