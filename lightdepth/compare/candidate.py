"""A model in a comparison."""

from __future__ import annotations

from dataclasses import dataclass

from lightdepth_runtime.evaluation.alignment import Alignment
from lightdepth_runtime.evaluation.prediction import Predictor
from lightdepth_runtime.spec import DepthKind

__all__ = ["METRIC_ALIGNMENTS", "Candidate"]

METRIC_ALIGNMENTS: tuple[Alignment, ...] = ("none", "median", "scale-shift")
RELATIVE_ALIGNMENTS: tuple[Alignment, ...] = ("scale-shift",)


@dataclass(frozen=True)
class Candidate:
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
    def backend(self) -> str:
        """What runs it, like "onnxruntime cpu"; a baseline knows once it has seen a frame."""
        backend = getattr(self.predictor, "backend", self.predictor)
        names = [getattr(backend, part, None) for part in ("name", "device")]
        return " ".join(str(name) for name in names if name) or "Python"

    @property
    def alignments(self) -> tuple[Alignment, ...]:
        """The alignments under which the output has a meaning: a relative model has no metres of its own."""
        if self.domain == "untrained":
            return ()
        return METRIC_ALIGNMENTS if self.kind == "metric" else RELATIVE_ALIGNMENTS
