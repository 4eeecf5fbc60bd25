"""Do two forms of a network give the same depth? Measured on real images, and gated."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.backends import Backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images import preprocess
from lightdepth_runtime.metrics import DepthMetrics, image_metrics, mean_metrics
from lightdepth_runtime.protocol import PROTOCOLS, Protocol
from lightdepth_runtime.spec import Precision

from . import __version__
from .fp16_simulation import OverflowMargin
from .frames import Frame

__all__ = ["SCHEMA", "ParityReport", "ParityThresholds", "StepParity", "check_parity", "gate"]

SCHEMA = "lightdepth.parity/1"


@dataclass(frozen=True)
class ParityThresholds:
    """What an export may change.

    FP32 is held to a distance in metres at every pixel. FP16 and INT8 are held to a share of RMSE on ground truth, or,
    without ground truth, to the same share as AbsRel between the two outputs.
    """

    fp32_max_abs_diff_m: float = 1e-3
    fp16_rmse_change: float = 0.005
    int8_rmse_change: float = 0.02

    def rmse_change(self, precision: Precision) -> float:
        """Return the share that holds for FP16 or INT8."""
        return self.int8_rmse_change if precision == "int8" else self.fp16_rmse_change


@dataclass(frozen=True)
class StepParity:
    """One candidate against the reference on the same images; distances in metres, over every pixel.

    `abs_rel` is mean |candidate - reference| / reference. Metrics are there where the images have ground truth.
    """

    step: str
    precision: Precision
    reference: str
    candidate: str
    images: int
    max_abs_diff_m: float
    mean_abs_diff_m: float
    abs_rel: float
    not_finite: int
    reference_metrics: DepthMetrics | None = None
    candidate_metrics: DepthMetrics | None = None
    overflow: OverflowMargin | None = None

    def with_overflow(self, overflow: OverflowMargin) -> "StepParity":
        """Return a copy with FP16's overflow margin."""
        return replace(self, overflow=overflow)

    @property
    def rmse_change(self) -> float | None:
        """|RMSE of the candidate / RMSE of the reference - 1|, or None without ground truth."""
        if self.reference_metrics is None or self.candidate_metrics is None:
            return None
        return abs(self.candidate_metrics.rmse_m / self.reference_metrics.rmse_m - 1)

    def metric_changes(self) -> dict[str, float] | None:
        """Return candidate - reference of every metric, or None without ground truth."""
        if self.reference_metrics is None or self.candidate_metrics is None:
            return None
        candidate = self.candidate_metrics.to_dict()
        return {name: candidate[name] - value for name, value in self.reference_metrics.to_dict().items()}

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return a JSON object; figures that are not finite become None."""
        values = asdict(self)
        values["rmse_change"] = self.rmse_change
        values["metric_changes"] = self.metric_changes()
        values["overflow"] = self.overflow.to_dict() if self.overflow else None
        return {key: None if isinstance(v, float) and not np.isfinite(v) else v for key, v in values.items()}


@dataclass(frozen=True)
class ParityReport:
    """Every step of one export, with the thresholds it was held to."""

    model: str
    data: str
    thresholds: ParityThresholds
    steps: tuple[StepParity, ...]
    protocol: Protocol = field(default=PROTOCOLS["eigen"])

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.parity/1`."""
        return {
            "schema": SCHEMA,
            "lightdepth_version": __version__,
            "model": self.model,
            "data": self.data,
            "protocol": self.protocol.to_dict(),
            "thresholds": asdict(self.thresholds),
            "steps": {step.step: step.to_dict() for step in self.steps},
        }


def check_parity(
    reference: Backend,
    candidates: Mapping[str, Backend],
    frames: Iterable[Frame],
    *,
    protocol: Protocol = PROTOCOLS["eigen"],
    progress: Callable[[Iterable[Frame]], Iterable[Frame]] = iter,
) -> list[StepParity]:
    """Run the same frames through the reference and every candidate, and measure how far they part.

    Args:
        reference: what is exported, usually the checkpoint in PyTorch.
        candidates: by the name of their step, such as "onnx-fp32" or "fp16-simulated".
        frames: read once; ground truth counts where every frame has it.
        protocol: of the metrics.
        progress: wraps the frames to show progress.

    Raises:
        LightDepthError: no frames, or a frame that can't be scored under the protocol.
    """
    sums = {step: _Sums() for step in candidates}
    reference_metrics: list[DepthMetrics] = []
    images = 0
    for frame in progress(frames):
        images += 1
        batch = preprocess(frame.image, reference.spec)[None]  # (H, W, 3) -> (1, 3, h, w)
        expected = reference.run(batch)  # (1, 1, h, w)
        if not np.isfinite(expected).all():
            raise LightDepthError(
                f"{frame.name}: the checkpoint itself gives NaN or infinite depth; train it again before exporting."
            )
        if frame.depth_m is not None:
            reference_metrics.append(image_metrics(expected[0, 0], frame.depth_m, protocol, frame.name))
        for step, backend in candidates.items():
            sums[step].add(expected, backend.run(batch), frame, protocol)
    if images == 0:
        raise LightDepthError("Parity is measured on real images and got none; give --data a folder of pairs.")
    truth = mean_metrics(reference_metrics) if len(reference_metrics) == images else None
    return [
        StepParity(
            step,
            backend.spec.precision,
            f"{reference.name} on {reference.device}",
            f"{backend.name} on {backend.device}",
            images,
            sums[step].largest_m,
            sums[step].sum_m / max(1, sums[step].pixels),
            sums[step].sum_relative / max(1, sums[step].pixels),
            sums[step].not_finite,
            truth,
            mean_metrics(sums[step].metrics) if truth and len(sums[step].metrics) == images else None,
        )
        for step, backend in candidates.items()
    ]


def gate(step: StepParity, thresholds: ParityThresholds) -> None:
    """Let a step pass, or say which figure is past which threshold.

    Raises:
        LightDepthError: NaN or infinite depth, FP16 overflow, or a threshold exceeded.
    """
    if step.not_finite:
        raise LightDepthError(
            f"{step.step}: {step.not_finite} depth values are NaN or infinite; its precision overflows, keep FP32."
        )
    if step.overflow and not step.overflow.margin > 1:
        raise LightDepthError(
            f"{step.step}: tensor {step.overflow.tensor} reaches {step.overflow.largest_activation:g}, over binary16's "
            f"{step.overflow.limit:.0f}; export without --fp16."
        )
    if step.precision == "fp32":
        figure, value, limit, unit = "max_abs_diff_m", step.max_abs_diff_m, thresholds.fp32_max_abs_diff_m, " m"
    elif step.rmse_change is not None:
        figure, value, limit, unit = "rmse_change", step.rmse_change, thresholds.rmse_change(step.precision), ""
    else:
        figure, value, limit, unit = "abs_rel", step.abs_rel, thresholds.rmse_change(step.precision), ""
    if not value <= limit:
        raise LightDepthError(
            f"{step.step}: {figure} is {value:.3g}{unit} over {step.images} images, past the threshold of "
            f"{limit:g}{unit}; keep a higher precision, or raise the threshold if that loss is acceptable."
        )


@dataclass
class _Sums:
    """What accumulates over the frames for one candidate."""

    largest_m: float = 0.0
    sum_m: float = 0.0
    sum_relative: float = 0.0
    pixels: int = 0
    not_finite: int = 0
    metrics: list[DepthMetrics] = field(default_factory=list)

    def add(self, expected: NDArray[np.float32], got: NDArray[np.float32], frame: Frame, protocol: Protocol) -> None:
        """Add one frame: both outputs are (1, 1, h, w) metres."""
        if got.shape != expected.shape:
            raise LightDepthError(
                f"{frame.name}: the exported model answers {got.shape}, the checkpoint {expected.shape}; "
                "export it again."
            )
        finite = np.isfinite(got)
        bad = int(got.size - np.count_nonzero(finite))
        difference = np.abs(got[finite].astype(np.float64) - expected[finite])
        self.largest_m = max(self.largest_m, float(difference.max(initial=0.0)))
        self.sum_m += float(difference.sum())
        self.sum_relative += float((difference / np.maximum(expected[finite], protocol.min_depth_m)).sum())
        self.pixels += difference.size
        self.not_finite += bad
        if frame.depth_m is not None and bad == 0:
            self.metrics.append(image_metrics(got[0, 0], frame.depth_m, protocol, frame.name))
