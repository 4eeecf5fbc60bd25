"""Score several models on the same pairs in one pass, each under every alignment that its output allows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime import __version__
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluate import Predictor
from lightdepth_runtime.metrics import DepthMetrics, image_metrics, mean_metrics
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.protocol import Alignment, DepthKind, Protocol, get_protocol

__all__ = ["ComparedFrame", "Comparison", "Entrant", "Row", "compare"]

SCHEMA = "lightdepth.compare/1"
METRIC_ALIGNMENTS: tuple[Alignment, ...] = ("none", "median", "scale-shift")
RELATIVE_ALIGNMENTS: tuple[Alignment, ...] = ("scale-shift",)
# A model whose accuracy is not shown runs only to be timed; this many frames settle a median.
FRAMES_FOR_LATENCY = 10
HIGHER_IS_BETTER = frozenset({"delta1", "delta2", "delta3"})


@dataclass(frozen=True)
class Entrant:
    """A model in the comparison.

    `training` says what it was trained on and `domain` how that relates to the pairs: "in-domain", "zero-shot",
    "other data" or "untrained". An untrained model is timed; its accuracy would mean nothing and is left out.
    """

    name: str
    predictor: Predictor
    kind: DepthKind
    parameters: int
    weights: str
    training: str
    domain: str

    @property
    def alignments(self) -> tuple[Alignment, ...]:
        """The alignments under which the output has a meaning: a relative model has no metres of its own."""
        if self.domain == "untrained":
            return ()
        return METRIC_ALIGNMENTS if self.kind == "metric" else RELATIVE_ALIGNMENTS


@dataclass(frozen=True)
class Row:
    """One model under one protocol; no protocol and no metrics where accuracy is not shown."""

    model: str
    kind: DepthKind
    domain: str
    training: str
    weights: str
    parameters: int
    latency_ms_p50: float  # the whole call on a frame: preprocessing, network, resizing
    protocol: Protocol | None
    metrics: DepthMetrics | None

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the row with flat metric names; they are null where accuracy is not shown."""
        values = {key: value for key, value in asdict(self).items() if key not in ("protocol", "metrics")}
        metrics = self.metrics.to_dict() if self.metrics else dict.fromkeys(f.name for f in fields(DepthMetrics))
        return {**values, "protocol": self.protocol.to_dict() if self.protocol else None, **metrics}


@dataclass(frozen=True)
class ComparedFrame:
    """One pair with every model's prediction as it came out, for pictures."""

    name: str
    scene: str
    image: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    predictions: dict[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Comparison:
    """The table with what it was measured on."""

    data: str
    packaging: str
    split: str
    samples: int
    rows: tuple[Row, ...]

    def winners(self) -> dict[str, dict[str, str]]:
        """Return, for each protocol id with two models or more, the best model by metric; ties go to none."""
        best: dict[str, dict[str, str]] = {}
        for identity, rows in self._by_protocol().items():
            if len(rows) > 1:
                best[identity] = {
                    f.name: name for f in fields(DepthMetrics) if (name := _best(rows, f.name)) is not None
                }
        return best

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.compare/1`."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "data": {"name": self.data, "packaging": self.packaging, "split": self.split},
            "samples": self.samples,
            "rows": [row.to_dict() for row in self.rows],
            "winners": self.winners(),
        }

    def _by_protocol(self) -> dict[str, list[Row]]:
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.protocol is not None:
                groups.setdefault(row.protocol.id, []).append(row)
        return groups


def compare(
    entrants: Sequence[Entrant],
    pairs: PairSet,
    *,
    protocol: str = "eigen",
    keep: Sequence[int] = (),
    progress: Callable[[Iterable[Any]], Iterable[Any]] = iter,  # Any: passes the pairs through
) -> tuple[Comparison, list[ComparedFrame]]:
    """Run every model on every pair once and score it under each alignment.

    Args:
        entrants: the models, with distinct names.
        pairs: the same for all of them.
        protocol: the preset whose crop and range count.
        keep: indices of the pairs whose predictions are returned for pictures.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: no pairs, a damaged one, one without valid depth, or an output that is not finite.
    """
    if not len(pairs):
        raise LightDepthError(f"{pairs.root} has no pairs to compare on.")
    runs = [_Run(entrant, protocol) for entrant in entrants]
    frames = []
    for index, pair in enumerate(progress(pairs.pairs)):
        frame = pair.read()
        for run in runs:
            run.take(frame.image, frame.depth_m, pair.name, index)
        if index in keep:
            predictions = {run.entrant.name: run.latest for run in runs if run.latest is not None}
            frames.append(ComparedFrame(pair.name, pair.scene, frame.image, frame.depth_m, predictions))
    rows = tuple(row for run in runs for row in run.rows())
    return Comparison(pairs.name, pairs.packaging, pairs.split, len(pairs), rows), frames


class _Run:
    """One model's way through the pairs."""

    def __init__(self, entrant: Entrant, protocol: str) -> None:
        self.entrant = entrant
        self.latest: NDArray[np.float32] | None = None
        self._protocols = [get_protocol(protocol, alignment) for alignment in entrant.alignments]
        self._metrics: list[list[DepthMetrics]] = [[] for _ in self._protocols]
        self._latencies_ms: list[float] = []

    def take(self, image: NDArray[np.uint8], truth_m: NDArray[np.float32], name: str, index: int) -> None:
        """Predict one frame and score it under every protocol."""
        if not self._protocols and index >= FRAMES_FOR_LATENCY:
            return
        start = time.perf_counter()
        prediction = self.entrant.predictor(image)
        self._latencies_ms.append((time.perf_counter() - start) * 1e3)
        for protocol, metrics in zip(self._protocols, self._metrics, strict=True):
            metrics.append(image_metrics(prediction, truth_m, protocol, name, kind=self.entrant.kind))
        self.latest = prediction if self._protocols else None

    def rows(self) -> list[Row]:
        """Return one row a protocol, or one without accuracy."""
        scored = [(p, mean_metrics(m)) for p, m in zip(self._protocols, self._metrics, strict=True)]
        return [self._row(protocol, metrics) for protocol, metrics in scored or [(None, None)]]

    def _row(self, protocol: Protocol | None, metrics: DepthMetrics | None) -> Row:
        entrant = self.entrant
        steady = self._latencies_ms[1:] or self._latencies_ms  # the first call allocates, and exports a baseline
        return Row(
            model=entrant.name,
            kind=entrant.kind,
            domain=entrant.domain,
            training=entrant.training,
            weights=entrant.weights,
            parameters=entrant.parameters,
            latency_ms_p50=float(np.median(steady)),
            protocol=protocol,
            metrics=metrics,
        )


def _best(rows: Sequence[Row], metric: str) -> str | None:
    """Return the name of the row with the best value, or None on a tie."""
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    values = sorted((sign * getattr(row.metrics, metric), row.model) for row in rows)
    return None if values[0][0] == values[1][0] else values[0][1]
