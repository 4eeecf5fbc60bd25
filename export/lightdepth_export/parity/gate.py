"""Do two forms of a network give the same depth? Measured on real images, and gated."""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.protocol import PROTOCOLS, Protocol
from lightdepth_runtime.spec import Precision

from .. import __version__
from ..onnx.fp16_simulation import OverflowMargin

__all__ = ["SCHEMA", "ParityReport", "ParityThresholds", "StepParity", "gate"]

SCHEMA = "lightdepth.parity/1"


@dataclass(frozen=True)
class ParityThresholds:
    """What an export may change.

    FP32 is held to a distance in metres at every pixel. FP16 and INT8 are held to a share of RMSE on ground truth, or,
    without ground truth, to the same share as AbsRel between the two outputs. FP32 with embedded preprocessing is held
    to FP16's share, since a resize may round single pixels to the next grey level. Sigma, where there is one, is held
    to a mean relative change: it is an estimate of an error, and the head's rounding is not what it says.
    """

    fp32_max_abs_diff_m: float = 1e-3
    fp16_rmse_change: float = 0.005
    int8_rmse_change: float = 0.02
    fp32_sigma_change: float = 0.001
    fp16_sigma_change: float = 0.01
    int8_sigma_change: float = 0.1

    def rmse_change(self, precision: Precision) -> float:
        """Return the share that holds for a precision."""
        return self.int8_rmse_change if precision == "int8" else self.fp16_rmse_change

    def sigma_change(self, precision: Precision, *, embedded: bool) -> float:
        """Return the mean relative change of sigma that holds for a precision."""
        if precision == "int8":
            return self.int8_sigma_change
        return self.fp32_sigma_change if precision == "fp32" and not embedded else self.fp16_sigma_change


@dataclass(frozen=True)
class StepParity:
    """One candidate against the reference on the same images; distances in metres, over every pixel.

    `abs_rel` is mean |candidate - reference| / reference. Metrics are there where the images have ground truth.
    `left_out` frames have no valid depth, and count for the distances alone.
    `embedded` says that the candidate resizes and normalises by itself, and that depth is compared at the frame's size.
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
    embedded: bool = False
    overflow: OverflowMargin | None = None
    sigma_change: float | None = None  # mean |candidate - reference| / reference of sigma; None without sigma
    left_out: int = 0

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

    def describe(self) -> str:
        """Say the figures in one line."""
        text = f"{self.step}: max {self.max_abs_diff_m:.2g} m, mean {self.mean_abs_diff_m:.2g} m"
        text += f", AbsRel {self.abs_rel:.2g}"
        if self.rmse_change is not None:
            text += f", RMSE changed by {100 * self.rmse_change:.2g} %"
        if self.sigma_change is not None:
            text += f", sigma changed by {100 * self.sigma_change:.2g} %"
        if self.left_out:
            text += f", {self.left_out} of {self.images} frames without valid depth"
        if self.overflow is not None:
            text += f", largest activation {self.overflow.largest_activation:.4g} of {self.overflow.limit:.0f}"
        return text

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
    limit = thresholds.rmse_change(step.precision)
    if step.precision == "fp32" and not step.embedded:
        checks = [("max_abs_diff_m", step.max_abs_diff_m, thresholds.fp32_max_abs_diff_m, " m")]
    elif step.rmse_change is not None:
        checks = [("rmse_change", step.rmse_change, limit, "")]
    else:
        checks = [("abs_rel", step.abs_rel, limit, "")]
    if step.sigma_change is not None:
        limit = thresholds.sigma_change(step.precision, embedded=step.embedded)
        checks.append(("sigma_change", step.sigma_change, limit, ""))
    for figure, value, limit, unit in checks:
        if not value <= limit:
            raise LightDepthError(
                f"{step.step}: {figure} is {value:.3g}{unit} over {step.images} images, past the threshold of "
                f"{limit:g}{unit}; {_way_out(step.precision)}"
            )


def _way_out(precision: Precision) -> str:
    """Say what to do about a form that changes too much."""
    if precision == "int8":
        return "leave --int8 out, give --data more pairs of more places, or allow the loss with --max-int8-change."
    if precision == "fp16":
        return "leave --fp16 out, or allow the loss with --max-fp16-change."
    return "if that distance is acceptable, raise --max-fp32-diff; if not, the exported graph is wrong: report it."
