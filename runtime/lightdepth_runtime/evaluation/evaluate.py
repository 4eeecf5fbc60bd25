"""Score a predictor on RGB-D pairs under one protocol."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from operator import attrgetter, methodcaller
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..pairs import Pair, PairSet
from ..parallel import Workers, in_batches, open_once
from ..processes import Processes
from .confidence import Confidence
from .metrics import DepthMetrics
from .prediction import Predicted, Predictor, cameras_of, predict
from .protocol import Protocol
from .scores import Scorer, Scores

__all__ = ["EvalResult", "OwnModel", "evaluate", "score_pairs", "summarise"]

SCHEMA = "lightdepth.eval/1"
THREADS = 2  # of one process: reading a 640x480 pair takes about as long as scoring it


@dataclass(frozen=True)
class OwnModel:
    """How a worker opens a model of its own; see `DepthEstimator.load` for the fields."""

    path: Path
    device: str
    threads: int

    def __call__(self) -> DepthEstimator:
        """Open it."""
        return DepthEstimator.load(self.path, self.device, self.threads)


@dataclass(frozen=True)
class EvalResult:
    """A model's scores with everything needed to compare them fairly.

    `samples` counts the pairs that were scored, `left_out` those whose truth has no pixel that counts, and
    `focal_unknown` scored ones that a protocol with `focal` couldn't correct.
    """

    model: str
    protocol: Protocol
    data: str
    packaging: str
    split: str
    samples: int
    scores: Scores
    left_out: int = 0
    confidence: Confidence | None = None  # of models with sigma
    focal_unknown: int = 0

    @property
    def metrics(self) -> DepthMetrics:
        """The average that the protocol calls its result."""
        return self.scores.headline(self.protocol.averaging)

    def record(self, data: str) -> dict[str, Any]:  # Any: JSON values
        """Return what a checkpoint's spec says of its score: protocol, what the pairs were, how many, the metrics."""
        return {
            "protocol": self.protocol.id,
            "data": data,
            "samples": self.samples,
            **self.metrics.to_dict(),
        }

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.eval/1`: metric names flat, units in the names."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "model": self.model,
            "protocol": self.protocol.to_dict(),
            "data": {"name": self.data, "packaging": self.packaging, "split": self.split},
            "samples": self.samples,
            "left_out": self.left_out,
            **({"focal_unknown": self.focal_unknown} if self.protocol.focal else {}),
            **self.metrics.to_dict(),
            **self.scores.to_dict(),
            **({"confidence": asdict(self.confidence)} if self.confidence else {}),
        }


def evaluate(
    predictor: Predictor,
    pairs: PairSet,
    protocol: Protocol,
    *,
    model: str,
    batch_size: int = 1,
    workers: int = 1,
    own: OwnModel | None = None,
    processes: Processes | None = None,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> EvalResult:
    """Predict every pair once and average as the protocol says; pairs without a pixel that counts are left out.

    Args:
        predictor: takes uint8 RGB (H, W, 3), returns metres of any size; resized to the truth's.
        model: its name in the result.
        batch_size: frames that a `DepthEstimator` is given at a time; more than one pays on a GPU.
        workers: processes that read and score, while this one predicts; with one, threads do it.
        own: with several workers, each predicts too, with this model of its own: on a CPU that takes nothing from the
            others, and spares moving frames from process to process.
        processes: share the pairs with this one; the main one alone returns.
        progress: wraps the pairs to show progress.

    Raises:
        LightDepthError: no pairs, one that can't be read, none with a pixel that counts, or a prediction that fails;
            the image is named.
    """
    scorer = Scorer(protocol)
    processes = processes or Processes()
    share = processes.share(pairs.pairs, "pairs", name=attrgetter("name"))
    with Workers(workers) if workers > 1 else Workers(THREADS, threads=True) as pool:
        if own and workers > 1:
            scored = pool.map(partial(_evaluate_one, own, protocol), share, name=attrgetter("name"))
            for _, one in zip(progress(share), scored, strict=True):
                scorer.merge(one)
        else:
            score_pairs(predictor, share, scorer, pool, batch_size=batch_size, progress=progress)
    scorer, *others = processes.merge(scorer)
    for other in others:
        scorer.merge(other)
    left_out = set(scorer.left_out)
    scored = [pair for pair in pairs.pairs if pair.name not in left_out] if protocol.focal else []
    unknown = sum(cameras_of(predictor, pair) is None for pair in scored)
    return replace(summarise(scorer, pairs, model=model), focal_unknown=unknown)


def score_pairs(
    predictor: Predictor,
    pairs: Sequence[Pair],
    scorer: Scorer,
    pool: Workers,
    *,
    batch_size: int = 1,
    progress: Callable[[Sequence[Pair]], Iterable[Pair]] = iter,
) -> None:
    """Predict pairs and have a scorer take them; `pool` reads and scores, the rest is as for `evaluate`."""
    read = pool.map(methodcaller("read"), pairs, name=attrgetter("name"))
    batches = in_batches(zip(progress(pairs), read, strict=True), batch_size)
    predicted = (one for batch in batches for one in predict(predictor, batch, scorer.protocol, batched=batch_size > 1))
    for scored in pool.map(partial(_score, scorer.protocol), predicted, name=attrgetter("name")):
        scorer.merge(scored)


def summarise(scorer: Scorer, pairs: PairSet, *, model: str) -> EvalResult:
    """Return the result of a scorer that took all of `pairs`.

    Raises:
        LightDepthError: no pairs, or none with a pixel that counts.
    """
    left_out = len(scorer.left_out)
    if left_out and left_out == len(pairs):
        raise LightDepthError(
            f"None of the {left_out} pairs of {pairs.name} has valid depth under protocol "
            f"{scorer.protocol.describe()!r}; check the depth files' unit, or choose a protocol with their range."
        )
    return EvalResult(
        model,
        scorer.protocol,
        pairs.name,
        pairs.packaging,
        pairs.split,
        len(pairs) - left_out,
        scorer.scores(),
        left_out,
        scorer.confidence.result(),
    )


def _evaluate_one(own: OwnModel, protocol: Protocol, pair: Pair) -> Scorer:
    """Read, predict and score one frame, in a worker."""
    (predicted,) = predict(open_once(own), [(pair, pair.read())], protocol, batched=False)
    return _score(protocol, predicted)


def _score(protocol: Protocol, predicted: Predicted) -> Scorer:
    """Score one frame; a few numbers are all that comes back."""
    scorer = Scorer(protocol)
    scorer.add(predicted.views, predicted.name, predicted.scene, predicted.sigma)
    return scorer
