"""Run the same real images through two forms of a network and measure how far they part."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.backends import Backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator, Resolution
from lightdepth_runtime.evaluation.metrics import DepthMetrics, NoValidDepthError, image_metrics, mean_metrics
from lightdepth_runtime.evaluation.protocol import PROTOCOLS, Protocol
from lightdepth_runtime.parallel import Workers
from lightdepth_runtime.spec import ModelSpec

from .frames import Frame
from .gate import StepParity

__all__ = ["Progress", "check_parity"]

Progress = Callable[[Iterable[Frame]], Iterable[Frame]]
Answer = tuple[NDArray[np.float32], NDArray[np.float32] | None]  # metres (h, w), and sigma where the model has it


def check_parity(
    reference: Backend,
    candidates: Mapping[str, Backend],
    frames: Iterable[Frame],
    *,
    protocol: Protocol = PROTOCOLS["eigen"],
    pool: Workers | None = None,
    progress: Progress = iter,
    say: Callable[[str], object] = lambda _: None,
) -> list[StepParity]:
    """Feed the same frames to the reference and to every candidate.

    Depth is compared at the network's resolution; at the frame's where the candidates (all of them or none) preprocess
    by themselves.

    Args:
        reference: what is exported, usually the checkpoint in PyTorch.
        candidates: by the name of their step, such as "onnx-fp32" or "fp16-simulated".
        frames: read once; ground truth counts where every frame has it; frames without valid depth are left out of
            the metrics and counted.
        protocol: of the metrics.
        pool: measures, while this process runs the models; without it this one does both.
        progress: wraps the frames to show progress.
        say: told of frames that have another size than the candidates take, and are resized.

    Raises:
        LightDepthError: no frames, or an output that is not finite.
    """
    spec = next(iter(candidates.values())).spec
    embedded = spec.frame_height is not None
    resolution: Resolution = "image" if embedded else "model"
    estimators = [DepthEstimator(backend) for backend in (reference, *candidates.values())]

    def answer() -> Iterator[_Answered]:
        for frame in _at_size_of(spec, progress(frames), say):
            expected, *answers = (each.depth_and_sigma(frame.image, resolution=resolution) for each in estimators)
            if not all(np.isfinite(values).all() for values in expected if values is not None):
                raise LightDepthError(
                    f"{frame.name}: the checkpoint itself gives NaN or infinite depth; train it again before exporting."
                )
            yield _Answered(frame.name, frame.depth_m, expected, answers)

    measured = list((pool or Workers(1)).map(partial(_measure, protocol), answer(), name=lambda item: item.name))
    if not measured:
        raise LightDepthError("Parity is measured on real images and got none; give --data a folder of pairs.")
    return [
        _step(step, reference, backend, each, embedded=embedded)
        for (step, backend), each in zip(candidates.items(), zip(*measured, strict=True), strict=True)
    ]


def _at_size_of(spec: ModelSpec, frames: Iterable[Frame], say: Callable[[str], object]) -> Iterator[Frame]:
    """Yield the frames at the size that a model with preprocessing inside takes; say once of each other size."""
    others: set[tuple[int, ...]] = set()
    for frame in frames:
        height, width = frame.image.shape[:2]
        size = spec.frame_height or height, spec.frame_width or width
        if (height, width) not in {size, *others}:
            others.add((height, width))
            say(f"Pairs of {width}x{height} are resized to {size[1]}x{size[0]} for the forms that take frames")
        yield frame.resized(*size)


@dataclass(frozen=True)
class _Answered:
    """A frame's truth (H, W), where there is one, and what all made of the frame."""

    name: str
    depth_m: NDArray[np.float32] | None
    expected: Answer
    answers: list[Answer]


@dataclass(frozen=True)
class _Measured:
    """What one frame says of one candidate: sums over its pixels; `sum_sigma` is of sigma's relative changes."""

    largest_m: float
    sum_m: float
    sum_relative: float
    pixels: int
    not_finite: int
    sum_sigma: float
    has_truth: bool
    reference_metrics: DepthMetrics | None
    metrics: DepthMetrics | None


def _step(
    step: str, reference: Backend, candidate: Backend, frames: Sequence[_Measured], *, embedded: bool
) -> StepParity:
    """Return a candidate's means over the frames."""
    pixels = max(1, sum(one.pixels for one in frames))
    expected = [one.reference_metrics for one in frames if one.reference_metrics is not None]
    metrics = [one.metrics for one in frames if one.metrics is not None]
    # Frames without a valid pixel are left out of the metrics; their outputs are compared all the same.
    left_out = sum(one.has_truth for one in frames) - len(expected)
    with_truth = bool(expected) and all(one.has_truth for one in frames)
    return StepParity(
        step,
        candidate.spec.precision,
        f"{reference.name} on {reference.device}",
        f"{candidate.name} on {candidate.device}",
        len(frames),
        max(one.largest_m for one in frames),
        sum(one.sum_m for one in frames) / pixels,
        sum(one.sum_relative for one in frames) / pixels,
        sum(one.not_finite for one in frames),
        mean_metrics(expected) if with_truth else None,
        mean_metrics(metrics) if with_truth and len(metrics) == len(expected) else None,
        embedded,
        sigma_change=sum(one.sum_sigma for one in frames) / pixels if candidate.spec.sigma_tensor else None,
        left_out=left_out,
    )


def _measure(protocol: Protocol, answered: _Answered) -> list[_Measured]:
    reference_metrics = None
    if answered.depth_m is not None:
        with suppress(NoValidDepthError):
            reference_metrics = image_metrics(answered.expected[0], answered.depth_m, protocol, answered.name)
    return [_measure_one(protocol, answered, answer, reference_metrics) for answer in answered.answers]


def _measure_one(
    protocol: Protocol, answered: _Answered, answer: Answer, reference_metrics: DepthMetrics | None
) -> _Measured:
    """Measure how far a candidate's answer is from the reference's, and from the truth where that can be scored."""
    (expected, expected_sigma), (got, got_sigma), truth_m = answered.expected, answer, answered.depth_m
    if got.shape != expected.shape:
        raise LightDepthError(
            f"{answered.name}: the exported model answers {got.shape}, the checkpoint {expected.shape}; "
            "export it again."
        )
    finite = np.isfinite(got)
    bad = not_finite = int(got.size - np.count_nonzero(finite))
    difference = np.abs(got[finite].astype(np.float64) - expected[finite])
    sum_sigma = 0.0
    if expected_sigma is not None and got_sigma is not None:
        not_finite += int(got_sigma.size - np.count_nonzero(np.isfinite(got_sigma)))
        sum_sigma = float(np.nan_to_num(np.abs(got_sigma / expected_sigma - 1)).sum())
    metrics = None
    if truth_m is not None and reference_metrics is not None and bad == 0:
        metrics = image_metrics(got, truth_m, protocol, answered.name)
    return _Measured(
        largest_m=float(difference.max(initial=0.0)),
        sum_m=float(difference.sum()),
        sum_relative=float((difference / np.maximum(expected[finite], protocol.min_depth_m)).sum()),
        pixels=difference.size,
        not_finite=not_finite,
        sum_sigma=sum_sigma,
        has_truth=truth_m is not None,
        reference_metrics=reference_metrics,
        metrics=metrics,
    )
