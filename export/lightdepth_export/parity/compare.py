"""Run the same real images through two forms of a network and measure how far they part."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.backends import Backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.metrics import DepthMetrics, NoValidDepthError, image_metrics, mean_metrics
from lightdepth_runtime.evaluation.protocol import PROTOCOLS, Protocol
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.parallel import Workers

from .frames import Frame
from .gate import StepParity

__all__ = ["Progress", "check_frame_parity", "check_parity"]

Progress = Callable[[Iterable[Frame]], Iterable[Frame]]
# prepared image -> metres (h, w), and sigma of the same shape where the model has it
Answer = tuple[NDArray[np.float32], NDArray[np.float32] | None]
Runner = Callable[[NDArray[np.generic]], Answer]


def check_parity(
    reference: Backend,
    candidates: Mapping[str, Backend],
    frames: Iterable[Frame],
    *,
    protocol: Protocol = PROTOCOLS["eigen"],
    pool: Workers | None = None,
    progress: Progress = iter,
) -> list[StepParity]:
    """Feed the same preprocessed frames to the reference and to every candidate.

    Args:
        reference: what is exported, usually the checkpoint in PyTorch.
        candidates: by the name of their step, such as "onnx-fp32" or "fp16-simulated".
        frames: read once; ground truth counts where every frame has it; frames without valid depth are left out of
            the metrics and counted.
        protocol: of the metrics.
        pool: measures, while this process runs the models; without it this one does both.
        progress: wraps the frames to show progress.

    Raises:
        LightDepthError: no frames, or an output that is not finite.
    """

    def prepare(frame: Frame) -> NDArray[np.float32]:
        return preprocess(frame.image, reference.spec)[None]  # (H, W, 3) -> (1, 3, h, w)

    comparisons = [_Comparison(step, backend, _squeezed(backend), protocol) for step, backend in candidates.items()]
    _compare(_squeezed(reference), prepare, comparisons, progress(frames), pool)
    return [comparison.result(f"{reference.name} on {reference.device}") for comparison in comparisons]


def check_frame_parity(
    reference: Backend,
    candidates: Mapping[str, Backend],
    frames: Iterable[Frame],
    *,
    protocol: Protocol = PROTOCOLS["eigen"],
    pool: Workers | None = None,
    progress: Progress = iter,
    say: Callable[[str], object] = lambda _: None,
) -> list[StepParity]:
    """Compare candidates that preprocess by themselves with reference and runtime together, at the frame's size.

    Frames of another size than the candidates take are resized to it, and `say` is told. The other arguments and the
    errors are those of `check_parity`.
    """
    spec = next(iter(candidates.values())).spec
    assert spec.frame_height is not None, "candidates take frames"
    assert spec.frame_width is not None, "of one size"
    size = spec.frame_height, spec.frame_width
    others: set[tuple[int, ...]] = set()

    def fit(frame: Frame) -> Frame:
        seen = frame.image.shape[:2]
        if seen not in {size, *others}:
            others.add(seen)
            say(f"Pairs of {seen[1]}x{seen[0]} are resized to {size[1]}x{size[0]} for the forms that take frames")
        return frame.resized(*size)

    fitting = (fit(frame) for frame in progress(frames))
    comparisons = [
        _Comparison(step, backend, _estimated(backend), protocol, embedded=True) for step, backend in candidates.items()
    ]
    _compare(_estimated(reference), lambda frame: frame.image, comparisons, fitting, pool)
    return [comparison.result(f"{reference.name} on {reference.device}") for comparison in comparisons]


def _squeezed(backend: Backend) -> Runner:
    def run(batch: NDArray[np.generic]) -> Answer:
        values = batch.astype(np.float32, copy=False)
        if backend.spec.sigma_tensor is None:
            return backend.run(values)[0, 0], None  # (1, 1, h, w) -> (h, w)
        depth_m, sigma = backend.run_both(values)
        return depth_m[0, 0], sigma[0, 0]

    return run


def _estimated(backend: Backend) -> Runner:
    estimator = DepthEstimator(backend)

    def run(image: NDArray[np.generic]) -> Answer:
        if backend.spec.sigma_tensor is None:
            return estimator(image), None
        prediction = estimator.predict(image)
        return prediction.depth_m, prediction.sigma

    return run


@dataclass
class _Comparison:
    """What accumulates over the frames for one candidate."""

    step: str
    backend: Backend
    run: Runner
    protocol: Protocol
    embedded: bool = False
    images: int = 0
    largest_m: float = 0.0
    sum_m: float = 0.0
    sum_relative: float = 0.0
    pixels: int = 0
    not_finite: int = 0
    sum_sigma: float = 0.0  # of sigma's relative changes
    with_truth: int = 0
    left_out: int = 0
    metrics: list[DepthMetrics] = field(default_factory=list)
    reference_metrics: list[DepthMetrics] = field(default_factory=list)

    def add(self, measured: "_Measured") -> None:
        """Add one frame."""
        self.images += 1
        self.largest_m = max(self.largest_m, measured.largest_m)
        self.sum_m += measured.sum_m
        self.sum_relative += measured.sum_relative
        self.pixels += measured.pixels
        self.not_finite += measured.not_finite
        self.sum_sigma += measured.sum_sigma
        self.with_truth += measured.has_truth
        if measured.reference_metrics is not None:
            self.reference_metrics.append(measured.reference_metrics)
        elif measured.has_truth:  # without a valid pixel; the outputs are compared all the same
            self.left_out += 1
        if measured.metrics is not None:
            self.metrics.append(measured.metrics)

    def result(self, reference: str) -> StepParity:
        """Return the means."""
        pixels = max(1, self.pixels)
        with_truth = self.with_truth == self.images and self.left_out < self.images
        compared = with_truth and len(self.metrics) == len(self.reference_metrics)
        return StepParity(
            self.step,
            self.backend.spec.precision,
            reference,
            f"{self.backend.name} on {self.backend.device}",
            self.images,
            self.largest_m,
            self.sum_m / pixels,
            self.sum_relative / pixels,
            self.not_finite,
            mean_metrics(self.reference_metrics) if with_truth else None,
            mean_metrics(self.metrics) if compared else None,
            self.embedded,
            sigma_change=self.sum_sigma / pixels if self.backend.spec.sigma_tensor else None,
            left_out=self.left_out,
        )


@dataclass(frozen=True)
class _Answered:
    """A frame's truth (H, W), where there is one, and what all made of the frame."""

    name: str
    depth_m: NDArray[np.float32] | None
    expected: Answer
    answers: list[Answer]


@dataclass(frozen=True)
class _Measured:
    """What one frame says of one candidate; see `_Comparison`."""

    largest_m: float
    sum_m: float
    sum_relative: float
    pixels: int
    not_finite: int
    sum_sigma: float
    has_truth: bool
    reference_metrics: DepthMetrics | None
    metrics: DepthMetrics | None


def _compare(
    reference: Runner,
    prepare: Callable[[Frame], NDArray[np.generic]],
    comparisons: list[_Comparison],
    frames: Iterable[Frame],
    pool: Workers | None,
) -> None:
    """Run every frame once through the reference and once through each candidate; workers measure."""

    def answer() -> Iterator[_Answered]:
        for frame in frames:
            prepared = prepare(frame)
            expected = reference(prepared)
            if not all(np.isfinite(values).all() for values in expected if values is not None):
                raise LightDepthError(
                    f"{frame.name}: the checkpoint itself gives NaN or infinite depth; train it again before exporting."
                )
            answers = [_own(comparison.run(prepared)) for comparison in comparisons]
            yield _Answered(frame.name, frame.depth_m, _own(expected), answers)

    protocol = comparisons[0].protocol
    images = 0
    for measured in (pool or Workers(1)).map(partial(_measure, protocol), answer(), name=lambda item: item.name):
        images += 1
        for comparison, one in zip(comparisons, measured, strict=True):
            comparison.add(one)
    if images == 0:
        raise LightDepthError("Parity is measured on real images and got none; give --data a folder of pairs.")


def _own(answer: Answer) -> Answer:
    """Copy what a backend may write over with the next frame."""
    depth_m, sigma = answer
    return depth_m.copy(), None if sigma is None else sigma.copy()


def _measure(protocol: Protocol, answered: _Answered) -> list[_Measured]:
    return [_measure_one(protocol, answered, answer) for answer in answered.answers]


def _measure_one(protocol: Protocol, answered: _Answered, answer: Answer) -> _Measured:
    """Measure how far a candidate's answer is from the reference's, and both from the truth."""
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
    reference_metrics = metrics = None
    if truth_m is not None:
        with suppress(NoValidDepthError):
            reference_metrics = image_metrics(expected, truth_m, protocol, answered.name)
            metrics = image_metrics(got, truth_m, protocol, answered.name) if bad == 0 else None
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
