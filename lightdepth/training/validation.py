"""Every process scores its share of the validation pairs, with the runtime's own evaluation."""

from __future__ import annotations

from accelerate import Accelerator
from accelerate.utils import broadcast, gather_object
from torch import nn

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import EvalResult, score_pairs, summarise
from lightdepth_runtime.evaluation.protocol import Protocol, choose_protocol
from lightdepth_runtime.evaluation.scores import Scorer
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.parallel import Workers
from lightdepth_runtime.processes import share_bounds
from lightdepth_runtime.progress import track
from lightdepth_runtime.spec import ModelSpec

from ..checkpoints.backend import TorchBackend

__all__ = ["validate", "validation_protocol"]


def validation_protocol(validation: PairSet, spec: ModelSpec) -> Protocol:
    """Return the protocol that the pairs' packaging and the model's range imply."""
    return choose_protocol(None, packaging=validation.packaging, range_m=spec.max_depth_m)


def validate(
    network: nn.Module,
    spec: ModelSpec,
    validation: PairSet,
    accelerator: Accelerator,
    *,
    readers: int,
) -> EvalResult:
    """Score the network on every validation pair once; every process returns the result over all of them.

    Args:
        network: the main process's is what all of them score.
        readers: threads that read and score.

    Raises:
        LightDepthError: a pair that can't be read, in any process, or none with valid depth.
    """
    number, processes = accelerator.process_index, accelerator.num_processes
    start, end = share_bounds(len(validation), number, processes)
    scorer, fault = Scorer(validation_protocol(validation, spec)), None
    if processes > 1:
        broadcast(network.state_dict())  # in place: all score the main process's weights and statistics
    backend = TorchBackend(network, spec, str(accelerator.device))
    try:
        with Workers(readers, threads=True) as pool:
            score_pairs(
                DepthEstimator(backend),
                validation.pairs[start:end],
                scorer,
                pool,
                batch_size=backend.largest_batch,
                progress=lambda pairs: track(pairs, "Validating", len(pairs)) if accelerator.is_main_process else pairs,
            )
    except LightDepthError as error:
        if processes == 1:
            raise
        fault = str(error)
    if processes > 1:
        parts = gather_object([(scorer, fault)])  # in the processes' order; a fault of one is an error in all
        scorer = Scorer(scorer.protocol)
        for part, fault in parts:
            if fault is not None:
                raise LightDepthError(fault)
            scorer.merge(part)
    return summarise(scorer, validation, model=spec.name)
