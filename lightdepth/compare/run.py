"""One model's way through the pairs of a comparison: predictions here, scores in worker processes, latency first."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from operator import attrgetter, methodcaller
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.evaluation.prediction import focal_factor, predict_views
from lightdepth_runtime.evaluation.protocol import Protocol
from lightdepth_runtime.evaluation.scores import Scorer
from lightdepth_runtime.pairs import FrameData, Pair
from lightdepth_runtime.parallel import Workers

from .candidates import Candidate

__all__ = ["Run", "run_all"]

# Enough frames for a steady median. They are timed while no worker takes a core; a model whose accuracy is not shown
# runs on no others.
FRAMES_FOR_LATENCY = 10

Views = list[tuple[NDArray[np.float32], NDArray[np.float32]]]  # each a prediction (h, w) with its truth (H, W)


class Run:
    """What one model scored and how long it took."""

    def __init__(self, candidate: Candidate, protocol: Protocol) -> None:
        self.candidate = candidate
        self.scorers = [Scorer(replace(protocol, alignment=kind), candidate.kind) for kind in candidate.alignments]
        self._base = protocol  # alignments share its frames and flips, and so its predictions
        self.focal_unknown = 0  # pairs that a protocol with `focal` left as they are
        self._latencies_ms: list[float] = []

    @property
    def latency_ms_p50(self) -> float:
        """The median; the first call allocates, and exports a baseline, so it doesn't count."""
        return float(np.median(self._latencies_ms[1:] or self._latencies_ms))

    def predict(self, pair: Pair, frame: FrameData, *, timed: bool) -> Views:
        """Predict a pair's frame; nothing where the model is only timed."""
        if not self.scorers and not timed:
            return []
        views = predict_views(
            self._timed if timed else self.candidate.predictor, frame.image, frame.depth_m, self._base
        )
        if not self.scorers:
            return []
        return self._at_focal_length_of(pair, frame, views) if self._base.focal else views

    def _at_focal_length_of(self, pair: Pair, frame: FrameData, views: Views) -> Views:
        """Scale depth to the pair's camera where both cameras are known."""
        factor = focal_factor(self.candidate.predictor, pair, frame.depth_m.shape)
        if factor is None:
            self.focal_unknown += 1
            return views
        return [(prediction * np.float32(factor), truth_m) for prediction, truth_m in views]

    def _timed(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        start = time.perf_counter()
        prediction = self.candidate.predictor(image)
        self._latencies_ms.append((time.perf_counter() - start) * 1e3)
        return prediction


@dataclass(frozen=True)
class _Predicted:
    """All models' predictions of one pair, and a scorer that takes it alone for each model and alignment."""

    name: str
    scene: str
    views: list[Views]
    scorers: list[list[Scorer]]


def run_all(
    runs: Sequence[Run],
    pairs: Sequence[Pair],
    protocol: Protocol,
    workers: int,
    *,
    progress: Callable[[Iterable[Any]], Iterable[Any]],  # Any: passes the pairs through
    show: Callable[[int, FrameData, list[Views]], None],
) -> int:
    """Run every model on every pair that has valid depth; return how many have none.

    Args:
        runs: take their scores.
        pairs: what to run on.
        protocol: whose crop and range count.
        workers: processes that read and score; with one, everything happens here.
        progress: wraps the pairs.
        show: told each scored pair's number, its frame, and each model's views.
    """
    left_out = 0

    def predict(frames: Iterable[tuple[int, Pair, FrameData]], *, timed: bool) -> Iterator[_Predicted]:
        nonlocal left_out
        for number, pair, frame in frames:
            if not protocol.valid(protocol.view(frame.image, frame.depth_m)[1]).any():
                left_out += 1
                continue
            views = [run.predict(pair, frame, timed=timed) for run in runs]
            show(number, frame, views)
            scorers = [[Scorer(own.protocol, own.kind) for own in run.scorers] for run in runs]
            yield _Predicted(pair.name, pair.scene, views, scorers)

    def take(scored: list[list[Scorer]]) -> None:
        for run, scorers in zip(runs, scored, strict=True):
            for own, scorer in zip(run.scorers, scorers, strict=True):
                own.merge(scorer)

    numbered = enumerate(progress(pairs))
    begun = 0

    def first() -> Iterator[tuple[int, Pair, FrameData]]:
        nonlocal begun
        for number, pair in numbered:
            begun = number + 1
            yield number, pair, pair.read()

    for predicted in islice(predict(first(), timed=True), FRAMES_FOR_LATENCY):
        take(_score(predicted))
    with Workers(workers) as pool:
        read = pool.map(methodcaller("read"), pairs[begun:], name=attrgetter("name"))
        rest = ((number, pair, frame) for (number, pair), frame in zip(numbered, read, strict=True))
        for scored in pool.map(_score, predict(rest, timed=False), name=attrgetter("name")):
            take(scored)
    return left_out


def _score(predicted: _Predicted) -> list[list[Scorer]]:
    for views, scorers in zip(predicted.views, predicted.scorers, strict=True):
        for scorer in scorers:
            scorer.add(views, predicted.name, predicted.scene)
    return predicted.scorers
