"""Who stands in a comparison, and what each was trained on."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lightdepth_runtime.backends.baseline import is_baseline, open_baseline
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.alignment import Alignment
from lightdepth_runtime.evaluation.prediction import Predictor
from lightdepth_runtime.models import find_model
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.spec import DepthKind, ModelSpec

from ..baselines.names import HUB_REPOSITORIES
from ..bench import export_for_timing

__all__ = [
    "METRIC_ALIGNMENTS",
    "Candidate",
    "baseline_candidate",
    "domain_of",
    "open_baseline_file",
    "open_candidates",
    "open_named_baseline",
]

METRIC_ALIGNMENTS: tuple[Alignment, ...] = ("none", "median", "scale-shift")
NYU_PACKAGINGS = frozenset({"kaggle", "labelled mat"})  # two packagings of NYU Depth V2


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
        return METRIC_ALIGNMENTS if self.kind == "metric" else ("scale-shift",)


def open_candidates(
    stack: ExitStack,
    models: Sequence[str | None],
    pairs: PairSet,
    *,
    beside: Sequence[Candidate] = (),
    domain: str | None = None,
    device: str = "auto",
    threads: int | None = None,
) -> list[Candidate]:
    """Open models for a comparison; the stack closes them. Returns all candidates, each of another name.

    Args:
        stack: closes what is opened.
        models: what `find_model` takes, or the name of a baseline. An ONNX file of another project's network is fed as
            the BaselineSpec in it says, or the JSON file of its name beside it. A checkpoint is exported to ONNX first.
        pairs: what they are compared on.
        beside: candidates that are open already; they come first.
        domain: "in-domain" or "zero-shot" where the names of models' training data don't tell.
        device: as `DepthEstimator.load` takes it.
        threads: of the CPU, the same for all.

    Raises:
        LightDepthError: no such model, it can't be opened, or one is named twice.
    """
    candidates = [*beside]
    for number, model in enumerate(models):
        if model in models[:number]:
            raise LightDepthError(f"{model} is named twice; compare different models.")
        candidate = _open_candidate(stack, model, pairs, domain, device, threads)
        if any(candidate.name == other.name for other in candidates):  # two runs of one network
            candidate = replace(candidate, name=f"{candidate.name} ({model})")
        candidates.append(candidate)
    return candidates


def _open_candidate(
    stack: ExitStack, model: str | None, pairs: PairSet, domain: str | None, device: str, threads: int | None
) -> Candidate:
    if model in HUB_REPOSITORIES:
        return open_named_baseline(stack, str(model), "hub", device, threads)
    path = find_model(model, also=HUB_REPOSITORIES)
    if path.suffix == ".onnx" and (is_baseline(path) or path.with_suffix(".json").is_file()):
        return open_baseline_file(stack, path, None, device, threads)
    if path.suffix == ".safetensors":  # timed in the runtime that the others run in
        folder = stack.enter_context(TemporaryDirectory(prefix="lightdepth-"))
        path = export_for_timing(path, Path(folder))
    return _lightdepth_candidate(stack.enter_context(DepthEstimator.load(path, device, threads)), pairs, domain)


def open_named_baseline(stack: ExitStack, name: str, weights: str, device: str, threads: int | None) -> Candidate:
    """Open one of the baselines that are known by name."""
    from ..baselines.baseline import Baseline  # here: it brings transformers

    return baseline_candidate(stack.enter_context(Baseline(weights, name, device=device, threads=threads)))


def open_baseline_file(
    stack: ExitStack, path: Path, spec_path: Path | None, device: str, threads: int | None
) -> Candidate:
    """Open another project's network; nothing is known of its training data.

    It is fed as the spec file says, without one as the spec in the network's file, or the JSON file of its name, does.
    """
    beside = path.with_suffix(".json")
    if spec_path is None and not is_baseline(path) and beside.is_file():
        spec_path = beside
    backend = stack.enter_context(closing(open_baseline(path, device, threads, spec_path=spec_path)))
    spec = backend.spec
    domain = "untrained" if spec.is_random else "other data"
    return Candidate(spec.name, backend, spec.kind, spec.parameters, spec.weights, "not stated", domain)


def _lightdepth_candidate(estimator: DepthEstimator, pairs: PairSet, stated_domain: str | None) -> Candidate:
    """Enter a LightDepth model; its spec says what it was trained on."""
    spec = estimator.spec
    domain = domain_of(spec, pairs)
    if stated_domain and domain != "untrained":
        domain = stated_domain
    weights = "random" if domain == "untrained" else "trained"
    return Candidate(spec.name, estimator, "metric", spec.parameters, weights, spec.training_data, domain)


def baseline_candidate(baseline: Any) -> Candidate:  # Any: a Baseline, whose module is only imported to run one
    """Enter a baseline: as released it never saw the pairs' training set, of other weights nothing is known."""
    model = baseline.model
    training, domain = {
        "hub": ("its authors' mixture", "zero-shot"),
        "random": ("nothing", "untrained"),
    }.get(model.weights, (f"unknown ({model.weights})", "other data"))
    return Candidate(model.name, baseline, model.kind, model.parameters, model.weights, training, domain)


def domain_of(spec: ModelSpec, pairs: PairSet) -> str:
    """Say whether a model was trained on data of the same name or packaging family as the pairs.

    The spec names its training data as `NAME (PACKAGING, N pairs)`. Another name may still be the same recordings
    in another folder, so it is called "other data" and both names are printed.
    """
    if spec.training_data == "not trained":
        return "untrained"
    name, _, rest = spec.training_data.partition(" (")
    packaging = rest.partition(",")[0]
    same_family = packaging in NYU_PACKAGINGS and pairs.packaging in NYU_PACKAGINGS
    return "in-domain" if same_family or name == pairs.name else "other data"
