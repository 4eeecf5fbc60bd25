"""Score several models on the same pairs in one pass, each under every alignment that its output allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime import __version__
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.prediction import sigma_of
from lightdepth_runtime.evaluation.protocol import PROTOCOLS, Protocol
from lightdepth_runtime.evaluation.scores import Scores
from lightdepth_runtime.pairs import FrameData, PairSet
from lightdepth_runtime.spec import DepthKind

from .candidates import METRIC_ALIGNMENTS, Candidate
from .run import Run, Views, run_all

__all__ = ["ComparedFrame", "ComparedModel", "Comparison", "compare"]

SCHEMA = "lightdepth.compare/1"
HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})
METRIC_NAMES = tuple(metric.name for metric in fields(DepthMetrics))


@dataclass(frozen=True)
class ComparedModel:
    """A model of the table, with its scores by protocol, raw metres first; there are none where they'd mean nothing."""

    name: str
    kind: DepthKind
    domain: str
    training: str
    weights: str
    parameters: int
    backend: str  # what ran it, and where
    latency_ms_p50: float  # the whole call on a frame: preprocessing, network, resizing
    focal_unknown: int  # pairs that a protocol with `focal` couldn't correct
    scores: dict[Protocol, Scores]

    def metrics(self, protocol: Protocol) -> DepthMetrics:
        """Return the average that the protocol calls its result."""
        return self.scores[protocol].headline(protocol.averaging)

    def rows(self) -> list[dict[str, Any]]:  # Any: a JSON object
        """Return a row with flat metric names for each protocol, or one where they are null."""
        names = ("kind", "domain", "training", "weights", "parameters", "backend", "latency_ms_p50")
        described = {"model": self.name, **{name: getattr(self, name) for name in names}}
        if not self.scores:
            return [{**described, "protocol": None, **dict.fromkeys(METRIC_NAMES)}]
        return [
            {
                **described,
                "protocol": protocol.to_dict(),
                **self.metrics(protocol).to_dict(),
                **scores.to_dict(),
                **({"focal_unknown": self.focal_unknown} if protocol.focal else {}),
            }
            for protocol, scores in self.scores.items()
        ]


@dataclass(frozen=True)
class ComparedFrame:
    """One pair with every model's prediction and sigma as they came out, for pictures."""

    name: str
    scene: str
    image: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    predictions: dict[str, NDArray[np.float32]]
    sigmas: dict[str, NDArray[np.float32] | None]  # None of models without


@dataclass(frozen=True)
class Comparison:
    """The table with what it was measured on; `samples` pairs were scored, `left_out` have no pixel that counts."""

    data: str
    packaging: str
    split: str
    samples: int
    models: tuple[ComparedModel, ...]
    left_out: int
    base: Protocol  # what all scores share; their own protocols differ in the alignment alone

    def protocols(self) -> list[Protocol]:
        """Return the protocols of all scores: raw metres first, then each alignment."""
        found = {protocol for model in self.models for protocol in model.scores}
        return sorted(found, key=lambda protocol: METRIC_ALIGNMENTS.index(protocol.alignment))

    def scored(self, protocol: Protocol) -> list[ComparedModel]:
        """Return the models with scores under a protocol."""
        return [model for model in self.models if protocol in model.scores]

    def first_scored(self) -> list[tuple[ComparedModel, Protocol]]:
        """Return each model that has scores, with the first protocol of them."""
        return [(model, next(iter(model.scores))) for model in self.models if model.scores]

    def notes(self) -> list[str]:
        """Say which models' accuracy is not shown, and whose depth is not scaled to the pairs' cameras."""
        untrained = [
            f"{model.name} has random weights: its accuracy would mean nothing and is not shown."
            for model in self.models
            if not model.scores
        ]
        unscaled = [
            f"{model.name}: {model.focal_unknown} of {self.samples} pairs are scored as they are; their camera or the "
            "model's is unknown."
            for model in self.models
            if model.focal_unknown
        ]
        return [*untrained, *unscaled]

    def describe_pairs(self) -> str:
        """Say on which pairs the models were scored, and how many more had no valid depth."""
        more = f"; {self.left_out} without valid depth left out" if self.left_out else ""
        pairs = "1 pair" if self.samples == 1 else f"{self.samples} pairs"
        return f"{pairs} of {self.data} ({self.packaging}, {self.split}){more}."

    def winners(self) -> dict[str, dict[str, str]]:
        """Return, for each protocol id with two models or more, the best model by metric; ties go to none."""
        groups = {protocol: self.scored(protocol) for protocol in self.protocols()}
        return {protocol.id: _best(models, protocol) for protocol, models in groups.items() if len(models) > 1}

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.compare/1`."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "data": {"name": self.data, "packaging": self.packaging, "split": self.split},
            "samples": self.samples,
            "left_out": self.left_out,
            "machine": describe_machine().to_dict(),
            "rows": [row for model in self.models for row in model.rows()],
            "winners": self.winners(),
        }


def compare(
    candidates: Sequence[Candidate],
    pairs: PairSet,
    *,
    protocol: Protocol = PROTOCOLS["eigen"],
    keep: Sequence[int] = (),
    workers: int = 1,
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,  # Any: passes the pairs through
) -> tuple[Comparison, list[ComparedFrame]]:
    """Run every model on every pair once and score it under each alignment.

    Args:
        candidates: the models, with distinct names.
        pairs: the same for all of them.
        protocol: whose crop and range count; its alignment is each model's own.
        keep: indices of the pairs whose predictions are returned for pictures.
        workers: processes that read and score, while this one predicts; the result is the same to the bit, but for the
            latency, which is taken before they start.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: no pairs, a damaged one, none with valid depth, or an output that is not finite.
    """
    if not len(pairs):
        raise LightDepthError(f"{pairs.root} has no pairs to compare on.")
    runs = [Run(candidate, protocol) for candidate in candidates]
    frames: list[ComparedFrame] = []

    def show(number: int, frame: FrameData, views: list[Views]) -> None:
        if number in keep:
            image, truth_m = protocol.view(frame.image, frame.depth_m)
            shown = zip(runs, views, strict=True)
            predictions = {run.candidate.name: seen[0][0] for run, seen in shown if seen}
            sigmas = {run.candidate.name: sigma_of(run.candidate.predictor, image) for run in runs}
            pair = pairs.pairs[number]
            frames.append(ComparedFrame(pair.name, pair.scene, image, truth_m, predictions, sigmas))

    left_out = run_all(runs, pairs.pairs, protocol, workers, progress=progress, show=show)
    if left_out == len(pairs):
        raise LightDepthError(
            f"None of the {left_out} pairs of {pairs.name} has valid depth under protocol {protocol.describe()!r}; "
            "check the depth files' unit, or choose a protocol with their range."
        )
    models = tuple(map(_finished, runs))
    scored = len(pairs) - left_out
    return Comparison(pairs.name, pairs.packaging, pairs.split, scored, models, left_out, protocol), frames


def _finished(run: Run) -> ComparedModel:
    candidate = run.candidate
    return ComparedModel(
        name=candidate.name,
        kind=candidate.kind,
        domain=candidate.domain,
        training=candidate.training,
        weights=candidate.weights,
        parameters=candidate.parameters,
        backend=candidate.backend,
        latency_ms_p50=run.latency_ms_p50,
        focal_unknown=run.focal_unknown,
        scores={scorer.protocol: scorer.scores() for scorer in run.scorers},
    )


def _best(models: Sequence[ComparedModel], protocol: Protocol) -> dict[str, str]:
    """Return the best model by metric under one protocol."""
    best = {}
    for name in METRIC_NAMES:
        values = [getattr(model.metrics(protocol), name) for model in models]
        top = max(values) if name in HIGHER_IS_BETTER else min(values)
        if values.count(top) == 1:
            best[name] = models[values.index(top)].name
    return best
