"""Score a model on consecutive frames: how much depth flickers, beside how right it is, plain and steady."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..images.opencv import import_cv2
from ..images.preprocess import resize_depth
from ..pairs import Pair, PairSet
from ..steady import SteadyDepth
from .metrics import DepthMetrics, image_metrics, mean_metrics
from .protocol import Protocol

__all__ = ["SequenceResult", "SequenceScore", "evaluate_sequence", "flicker"]

SCHEMA = "lightdepth.sequence/1"
STILL = 0.02  # of log depth: where the truth changed less, depth should have stood still
# As far as things move from frame to frame in TUM freiburg1_rpy (14 of 640 pixels by the median), no edge of depth may
# stand around a pixel: an estimate's edges are softer than the truth's, and where they pass it changes without flicker.
REACH = 0.02  # of the image's width
EDGE = 1.25  # factor between the farthest and the nearest truth; a floor seen at twelve degrees has 1.23
FEWEST_PIXELS = 100
USUAL_FPS = 30.0  # of frames whose names are no times
SECONDS = re.compile(r"\d{4,}\.\d+")  # TUM RGB-D's names, since 1970


@dataclass(frozen=True)
class SequenceScore:
    """`flicker` is the mean |change of log depth - that of the truth| from frame to frame: 0.05 is about 5 %.

    It leaves out what lies at an edge of the true depth; `flicker_with_edges` counts that too.
    """

    flicker: float
    flicker_with_edges: float
    abs_rel: float
    rmse_m: float
    delta1: float


@dataclass(frozen=True)
class SequenceResult:
    """Scores of the model's own depth and of the steady one, over the same frames."""

    model: str
    protocol: Protocol
    data: str
    frames: int
    transitions: int  # from one frame to the next in which flicker was measured
    plain: SequenceScore
    steady: SequenceScore
    resets: int  # of the steady depth: the first frame, cuts and gaps

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.sequence/1`."""
        values = {**asdict(self), "protocol": self.protocol.to_dict()}
        return {"schema": SCHEMA, "lightdepth_version": __version__, **values}


def flicker(
    depths_m: tuple[NDArray[np.float32], NDArray[np.float32]],
    truths_m: tuple[NDArray[np.float32], NDArray[np.float32]],
    *,
    with_edges: bool = False,
) -> float | None:
    """Return how much depth changed from one frame to the next where the truth says that nothing did.

    It is the mean of |log(newer / older) - log(truth newer / truth older)| over the pixels whose truth is known in both
    frames and changed by less than 2 %; None where they are fewer than a hundred. The truth's own noise is part of it.
    Pixels with an edge of true depth around them, in either frame, don't count: there a moving picture alone changes an
    estimate.

    Args:
        depths_m: older and newer depth (H, W), positive.
        truths_m: older and newer truth (H, W), 0 where there is no reading.
        with_edges: count the pixels at edges too.
    """
    known = (truths_m[0] > 0) & (truths_m[1] > 0)
    true_change = np.log(truths_m[1][known].astype(np.float64)) - np.log(truths_m[0][known].astype(np.float64))
    still = np.abs(true_change) < STILL
    if not with_edges:
        still &= (_has_no_edge(truths_m[0]) & _has_no_edge(truths_m[1]))[known]
    if still.sum() < FEWEST_PIXELS:
        return None
    change = np.log(depths_m[1][known].astype(np.float64)) - np.log(depths_m[0][known].astype(np.float64))
    return float(np.abs(change - true_change)[still].mean())


def _has_no_edge(truth_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where the known truth around a pixel is alike, (H, W)."""
    cv2 = import_cv2()
    around = np.ones((2 * round(REACH * truth_m.shape[1]) + 1,) * 2, np.uint8)
    nearest = cv2.erode(np.where(truth_m > 0, truth_m, np.float32(np.inf)), around)
    return cv2.dilate(truth_m, around) / EDGE < nearest


def evaluate_sequence(
    estimator: DepthEstimator,
    pairs: PairSet,
    protocol: Protocol,
    *,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> SequenceResult:
    """Estimate depth of consecutive frames, in the order of the list, as they are and steady.

    Names that are times in seconds, as TUM RGB-D's, tell the time between frames; else there are 30 a second. Another
    scene begins another sequence.

    Args:
        estimator: the model.
        pairs: frames with truth.
        protocol: which pixels count for AbsRel; flicker counts those too.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: fewer than two frames that follow each other, a protocol with mirror images, or what `evaluate`
            raises.
    """
    if protocol.flip_tta or protocol.flip_as_sample:
        raise LightDepthError(
            f"A sequence is scored without mirror images, which protocol {protocol.name} takes; leave out "
            "--tta, or choose --protocol eigen or none."
        )
    steady = SteadyDepth(estimator)
    metrics: list[list[DepthMetrics]] = []  # of plain and of steady depth, a frame each
    flickers: list[NDArray[np.float64]] = []  # of both, without and with edges (2, 2), a transition each
    older: tuple[NDArray[np.float32], list[NDArray[np.float32]]] | None = None
    scene = stamp_ns = None
    for pair in progress(pairs.pairs):
        frame = pair.read()
        if pair.scene != scene:
            steady.reset()
            older = None
        stamp_ns, scene = _stamp_ns(pair.name, stamp_ns), pair.scene
        truth_m = np.where(protocol.valid(frame.depth_m), frame.depth_m, 0).astype(np.float32)
        kinds = [estimator(frame.image), steady(frame.image, stamp_ns)]
        depths_m = [resize_depth(depth_m, *truth_m.shape) for depth_m in kinds]
        metrics.append([image_metrics(depth_m, frame.depth_m, protocol, pair.name) for depth_m in depths_m])
        if older is not None and older[0].shape == truth_m.shape:
            truths_m, moves = (older[0], truth_m), zip(older[1], depths_m, strict=True)
            values = [[flicker(move, truths_m, with_edges=edges) for edges in (False, True)] for move in moves]
            changes = np.array(values, np.float64)  # NaN where too few pixels tell it
            if np.isfinite(changes).all():
                flickers.append(changes)
        older = (truth_m, depths_m)
    if not flickers:
        raise LightDepthError(
            f"{pairs.name} has no two frames that follow each other with truth in the same places; give consecutive "
            "frames of a video in their order."
        )
    means = [mean_metrics(of_kind) for of_kind in zip(*metrics, strict=True)]
    plain, steadied = (
        SequenceScore(value, with_edges, mean.abs_rel, mean.rmse_m, mean.delta1)
        for (value, with_edges), mean in zip(np.mean(flickers, axis=0).tolist(), means, strict=True)
    )
    return SequenceResult(
        estimator.describe(), protocol, pairs.name, len(pairs), len(flickers), plain, steadied, steady.resets
    )


def _stamp_ns(name: str, before_ns: int | None) -> int:
    """Return a frame's time by its name, where that is seconds with decimals; else a thirtieth after the one before."""
    found = SECONDS.search(name)
    if found is not None:
        return round(float(found.group()) * 1e9)
    return 0 if before_ns is None else before_ns + round(1e9 / USUAL_FPS)
