"""Score several models on the same pairs in one pass, each under every alignment that its output allows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, fields
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

__all__ = ["ComparedFrame", "Comparison", "Row", "compare"]

SCHEMA = "lightdepth.compare/1"
HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})
METRIC_NAMES = tuple(metric.name for metric in fields(DepthMetrics))


@dataclass(frozen=True)
class Row:
    """One model under one protocol; no protocol and no metrics where accuracy is not shown."""

    model: str
    kind: DepthKind
    domain: str
    training: str
    weights: str
    parameters: int
    backend: str  # what ran it, and where
    latency_ms_p50: float  # the whole call on a frame: preprocessing, network, resizing
    protocol: Protocol | None
    scores: Scores | None
    focal_unknown: int = 0  # pairs that a protocol with `focal` couldn't correct

    @property
    def metrics(self) -> DepthMetrics | None:
        """The average that the protocol calls its result."""
        return self.scores.headline(self.protocol.averaging) if self.scores and self.protocol else None

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the row with flat metric names; they are null where accuracy is not shown."""
        described = ("model", "kind", "domain", "training", "weights", "parameters", "backend", "latency_ms_p50")
        metrics = self.metrics.to_dict() if self.metrics else dict.fromkeys(METRIC_NAMES)
        return {
            **{name: getattr(self, name) for name in described},
            "protocol": self.protocol.to_dict() if self.protocol else None,
            **metrics,
            **(self.scores.to_dict() if self.scores else {}),
            **({"focal_unknown": self.focal_unknown} if self.protocol and self.protocol.focal else {}),
        }


@dataclass(frozen=True)
class ComparedFrame:
    """One pair with every model's prediction and sigma as they came out, for pictures."""

    name: str
    scene: str
    image: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    predictions: dict[str, NDArray[np.float32]]
    sigmas: dict[str, NDArray[np.float32] | None] = field(default_factory=dict)  # None of models without


@dataclass(frozen=True)
class Comparison:
    """The table with what it was measured on; `samples` pairs were scored, `left_out` have no pixel that counts."""

    data: str
    packaging: str
    split: str
    samples: int
    rows: tuple[Row, ...]
    left_out: int
    base: Protocol  # what all rows share; their own protocols differ in the alignment alone

    def protocols(self) -> list[Protocol]:
        """Return the rows' protocols: raw metres first, then each alignment."""
        found = {row.protocol for row in self.rows if row.protocol is not None}
        return sorted(found, key=lambda protocol: METRIC_ALIGNMENTS.index(protocol.alignment))

    def rows_under(self, protocol: Protocol) -> list[Row]:
        """Return the rows of one protocol."""
        return [row for row in self.rows if row.protocol == protocol]

    def models(self) -> list[Row]:
        """Return one row a model."""
        return list({row.model: row for row in reversed(self.rows)}.values())[::-1]

    def first_scored(self) -> list[Row]:
        """Return each model's first row, where it has scores."""
        return [row for row in self.models() if row.scores is not None]

    def notes(self) -> list[str]:
        """Say which models' accuracy is not shown, and whose depth is not scaled to the pairs' cameras."""
        untrained = [
            f"{row.model} has random weights: its accuracy would mean nothing and is not shown."
            for row in self.models()
            if row.scores is None
        ]
        unscaled = [
            f"{row.model}: {row.focal_unknown} of {self.samples} pairs are scored as they are; their camera or the "
            "model's is unknown."
            for row in self.models()
            if row.focal_unknown
        ]
        return [*untrained, *unscaled]

    def describe_pairs(self) -> str:
        """Say on which pairs the models were scored, and how many more had no valid depth."""
        more = f"; {self.left_out} without valid depth left out" if self.left_out else ""
        pairs = "1 pair" if self.samples == 1 else f"{self.samples} pairs"
        return f"{pairs} of {self.data} ({self.packaging}, {self.split}){more}."

    def winners(self) -> dict[str, dict[str, str]]:
        """Return, for each protocol id with two models or more, the best model by metric; ties go to none."""
        groups = {protocol.id: self.rows_under(protocol) for protocol in self.protocols()}
        return {identity: _best(rows) for identity, rows in groups.items() if len(rows) > 1}

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.compare/1`."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "data": {"name": self.data, "packaging": self.packaging, "split": self.split},
            "samples": self.samples,
            "left_out": self.left_out,
            "machine": describe_machine().to_dict(),
            "rows": [row.to_dict() for row in self.rows],
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
    rows = tuple(row for run in runs for row in _rows(run))
    scored = len(pairs) - left_out
    return Comparison(pairs.name, pairs.packaging, pairs.split, scored, rows, left_out, protocol), frames


def _rows(run: Run) -> list[Row]:
    """Return one row a protocol, or one without accuracy."""
    scored = [(scorer.protocol, scorer.scores()) for scorer in run.scorers] or [(None, None)]
    candidate = run.candidate
    return [
        Row(
            model=candidate.name,
            kind=candidate.kind,
            domain=candidate.domain,
            training=candidate.training,
            weights=candidate.weights,
            parameters=candidate.parameters,
            backend=candidate.backend,
            latency_ms_p50=run.latency_ms_p50,
            protocol=protocol,
            scores=scores,
            focal_unknown=run.focal_unknown,
        )
        for protocol, scores in scored
    ]


def _best(rows: Sequence[Row]) -> dict[str, str]:
    """Return the best model by metric of rows under one protocol."""
    best = {}
    for name in METRIC_NAMES:
        values = [getattr(row.metrics, name) for row in rows]
        top = max(values) if name in HIGHER_IS_BETTER else min(values)
        if values.count(top) == 1:
            best[name] = rows[values.index(top)].model
    return best
