"""Who stands in a comparison, and what each was trained on."""

from __future__ import annotations

from typing import Any

from lightdepth_runtime.backends.baseline import BaselineBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.spec import ModelSpec

from .compare import Entrant

__all__ = ["baseline_entrant", "domain_of", "foreign_entrant", "lightdepth_entrant"]

NYU_PACKAGINGS = frozenset({"kaggle", "labelled mat"})  # two packagings of NYU Depth V2


def foreign_entrant(backend: BaselineBackend) -> Entrant:
    """Enter a network that a spec file describes; nothing is known of its training data."""
    spec = backend.spec
    domain = "untrained" if spec.is_random else "other data"
    return Entrant(spec.name, backend, spec.kind, spec.parameters, spec.weights, "not stated", domain)


def lightdepth_entrant(estimator: DepthEstimator, pairs: PairSet, stated_domain: str | None = None) -> Entrant:
    """Enter a LightDepth model; its spec says what it was trained on.

    Raises:
        LightDepthError: a stated domain that is neither in-domain nor zero-shot.
    """
    if stated_domain not in (None, "in-domain", "zero-shot"):
        raise LightDepthError(f"--domain is in-domain or zero-shot, not {stated_domain!r}.")
    spec = estimator.spec
    domain = domain_of(spec, pairs)
    if stated_domain and domain != "untrained":
        domain = stated_domain
    weights = "random" if domain == "untrained" else "trained"
    return Entrant(spec.name, estimator, "metric", spec.parameters, weights, spec.training_data, domain)


def baseline_entrant(baseline: Any) -> Entrant:  # Any: a Baseline, whose module is only imported to run one
    """Enter a baseline: as released it never saw the pairs' training set, of other weights nothing is known."""
    model = baseline.model
    training, domain = {
        "hub": ("its authors' mixture", "zero-shot"),
        "random": ("nothing", "untrained"),
    }.get(model.weights, (f"unknown ({model.weights})", "other data"))
    return Entrant(model.name, baseline, model.kind, model.parameters, model.weights, training, domain)


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
