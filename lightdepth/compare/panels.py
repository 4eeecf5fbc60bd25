"""Pictures that people look at: photographs, depth on one scale in metres, signed errors, sigma."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.errors import LightDepthError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.cm import ScalarMappable

    from lightdepth_runtime.estimator import DepthEstimator

__all__ = [
    "Depth",
    "DepthError",
    "Note",
    "Panel",
    "Photo",
    "Picture",
    "Sigma",
    "draw_panels",
    "estimated_panel",
    "photo_title",
    "signed_error",
]

DEPTH_COLORS = "plasma_r"  # near is bright
ERROR_COLORS = "RdBu_r"  # red: predicted too far
SIGMA_COLORS = "viridis_r"  # sure is bright
NO_READING_COLOR = "0.82"
WIDTH_INCHES = 3.0  # of one picture
DPI = 110
# Single far pixels would flatten the scales of everything else.
DEPTH_PERCENTILES = (1, 99)
ERROR_PERCENTILE = 98
MIN_ERROR_SCALE_M = 0.1
TITLE_LENGTH = 28


@dataclass(frozen=True)
class Photo:
    """A photograph: uint8 RGB (H, W, 3)."""

    title: str
    image: NDArray[np.uint8]


@dataclass(frozen=True)
class Depth:
    """Depth in metres (h, w); 0 where there is none, which is drawn grey."""

    title: str
    depth_m: NDArray[np.floating]


@dataclass(frozen=True)
class DepthError:
    """Prediction minus truth in metres (h, w); NaN where there is no truth, which is drawn grey."""

    title: str
    error_m: NDArray[np.floating]


@dataclass(frozen=True)
class Sigma:
    """A model's sigma (h, w), relative."""

    title: str
    sigma: NDArray[np.floating]


@dataclass(frozen=True)
class Note:
    """Words in a picture's place."""

    text: str


Picture = Photo | Depth | DepthError | Sigma | Note


# One row: its depth shares one scale, taken from its first depth, its errors another, and its sigma a third.
Panel = Sequence[Picture]


def estimated_panel(
    estimator: DepthEstimator, image: NDArray[np.uint8], truth_m: NDArray[np.float32], name: str = ""
) -> Panel:
    """Build the row input, ground truth, prediction, error, and sigma where the model has it.

    Args:
        estimator: predicts.
        image: uint8 RGB (H, W, 3).
        truth_m: (H, W), 0 where there is no reading.
        name: the frame's, shown over the photograph.
    """
    depth_m, sigma = estimator.depth_and_sigma(image)
    return [
        Photo(photo_title(name), image),
        Depth("Ground truth", truth_m),
        Depth("Prediction", depth_m),
        DepthError("Prediction - truth", signed_error(depth_m, truth_m)),
        *([] if sigma is None else [Sigma("Sigma", sigma)]),
    ]


def photo_title(name: str) -> str:
    """Name a photograph by its file, cut to what fits over the picture."""
    stem = Path(name).stem
    return f"Input {stem}".strip() if len(stem) <= TITLE_LENGTH else f"Input ...{stem[-TITLE_LENGTH:]}"


def signed_error(prediction_m: NDArray[np.floating], truth_m: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return prediction minus truth in metres, NaN where the truth has no reading."""
    return np.where(truth_m > 0, prediction_m - truth_m, np.nan)


def draw_panels(panels: Sequence[Panel], path: Path | str) -> None:
    """Draw rows of pictures into one PNG, written atomically.

    Raises:
        LightDepthError: no rows, or the file can't be written.
    """
    if not panels:
        raise LightDepthError("There are no pictures to draw; give at least one pair.")
    columns = max(map(len, panels))
    aspects = (p.image.shape[0] / p.image.shape[1] for panel in panels for p in panel if isinstance(p, Photo))
    height = WIDTH_INCHES * next(aspects, 0.75) + 0.45  # room for titles of two lines
    figure = Figure((columns * WIDTH_INCHES + 1.3, len(panels) * height), dpi=DPI, layout="constrained")
    axes = figure.subplots(len(panels), columns, squeeze=False)
    for row, panel in zip(axes, panels, strict=True):
        _draw_row(figure, list(row), panel)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_row(figure: Figure, axes: list[Axes], panel: Panel) -> None:
    low_m, high_m = _depth_scale(panel)
    error_limit_m = _error_limit(panel)
    bars: dict[str, ScalarMappable] = {}
    for axis in axes:
        axis.set_axis_off()
    for axis, picture in zip(axes, panel, strict=False):
        if isinstance(picture, Photo):
            axis.imshow(picture.image)
        elif isinstance(picture, Depth):
            shown = np.ma.masked_less_equal(picture.depth_m, 0)
            bars["depth, m"] = _show(axis, shown, DEPTH_COLORS, low_m, high_m)
        elif isinstance(picture, DepthError):
            shown = np.ma.masked_invalid(picture.error_m)
            bars["error, m"] = _show(axis, shown, ERROR_COLORS, -error_limit_m, error_limit_m)
        elif isinstance(picture, Sigma):
            bars["sigma, %"] = _show(
                axis, np.ma.masked_invalid(100 * picture.sigma), SIGMA_COLORS, 0, _sigma_limit(panel)
            )
        else:
            axis.text(0.5, 0.5, picture.text, ha="center", va="center", fontsize=9, transform=axis.transAxes)
            continue
        axis.set_title(picture.title, fontsize=9)
    for label, shown in bars.items():
        beyond = "max" if label == "sigma, %" else "both"
        bar = figure.colorbar(shown, ax=axes, fraction=0.02, pad=0.01, extend=beyond)
        bar.set_label(label, fontsize=8)
        bar.ax.tick_params(labelsize=8)


def _show(axis: Axes, values: np.ma.MaskedArray, colors: str, low: float, high: float) -> ScalarMappable:
    axis.set_facecolor(NO_READING_COLOR)
    axis.set_axis_on()  # the background stands for missing readings, so the axes stay and only their ticks go
    axis.set_xticks([])
    axis.set_yticks([])
    return axis.imshow(values, cmap=colors, vmin=low, vmax=high, interpolation="nearest")


def _depth_scale(panel: Panel) -> tuple[float, float]:
    """Return the range of the row's first depth (the truth), widened to whole tenths of a metre."""
    readings = (p.depth_m[p.depth_m > 0] for p in panel if isinstance(p, Depth))
    first = next(filter(np.size, readings), None)
    if first is None:
        return 0.0, 10.0
    low, high = np.percentile(first, DEPTH_PERCENTILES)
    return float(np.floor(low * 10) / 10), float(np.ceil(high * 10) / 10 + 0.1)


def _error_limit(panel: Panel) -> float:
    """Return a symmetric limit that covers nearly all errors of the row."""
    drawn = (p.error_m for p in panel if isinstance(p, DepthError))
    errors = np.concatenate([np.empty(0), *(np.abs(error_m[np.isfinite(error_m)]) for error_m in drawn)])
    if errors.size == 0:
        return MIN_ERROR_SCALE_M
    return max(MIN_ERROR_SCALE_M, float(np.ceil(np.percentile(errors, ERROR_PERCENTILE) * 10) / 10))


def _sigma_limit(panel: Panel) -> float:
    """Return the row's largest sigma but for single pixels, in per cent, as a multiple of 5."""
    values = np.concatenate([100 * p.sigma.ravel() for p in panel if isinstance(p, Sigma)])
    return max(5.0, 5 * float(np.ceil(np.percentile(values, DEPTH_PERCENTILES[1]) / 5)))
