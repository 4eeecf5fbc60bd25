"""Draw what the model card shows: the curves of a training run, and predictions beside the truth.

Usage: python benchmarks/figures.py curves runs/NAME... --output curves.png
       python benchmarks/figures.py panels [MODEL] --data lightdepth/demo_data --output panels.png
       python benchmarks/figures.py readme --output benchmarks/results/lite0_tum.png
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from matplotlib.figure import Figure
from numpy.typing import NDArray

from lightdepth.compare.panels import (
    DEPTH_COLORS,
    ERROR_COLORS,
    NO_READING_COLOR,
    SIGMA_COLORS,
    draw_panels,
    estimated_panel,
    signed_error,
)
from lightdepth.runs.folder import RunFolder
from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs

app = typer.Typer(add_completion=False)
DPI = 110
DEMO_DATA = Path("lightdepth/demo_data")
SCENES = {"freiburg1_rpy": "desk", "freiburg3_cabinet": "cabinet"}
LENS = 2.0  # focal length of the last row's view, in those of the training camera
# Scales that all rows of the README's picture share.
DEPTHS_M, ERRORS_M, SIGMAS_PERCENT = (0.6, 3.6), (-0.8, 0.8), (0, 40)


@app.command()
def curves(
    runs: list[Path],
    output: Annotated[Path, typer.Option()],
    beside: Annotated[bool, typer.Option("--beside", help="Runs to compare: all begin at epoch 1.")] = False,
) -> None:
    """Draw loss and validation RMSE of each epoch; a run that started from another's weights stands behind it."""
    figure = Figure((9, 3.2), dpi=DPI, layout="constrained")
    for axis, key, label in zip(
        figure.subplots(1, 2), ("loss", "rmse_m"), ("Training loss", "Validation RMSE (m)"), strict=True
    ):
        first = 1
        for run in runs:
            values = [row[key] for row in validated_epochs(run)]
            axis.plot(range(first, first + len(values)), values, linewidth=1.8, label=run.name)
            first += 0 if beside else len(values)
        axis.set(xlabel="Epoch", title=label, ylim=(0, None))
        axis.grid(alpha=0.3)
        if len(runs) > 1:
            axis.legend()
    with atomic_path(output) as temporary:
        figure.savefig(temporary, format="png")


def validated_epochs(run: Path) -> list[dict[str, float]]:
    """Read a run's metrics of each epoch.

    Raises:
        LightDepthError: there are none, or the run had no validation.
    """
    rows = RunFolder(run).read_metrics()
    if not rows or "rmse_m" not in rows[0]:
        raise LightDepthError(f"{run} has no validated epochs in metrics.jsonl; name the folder of a training run.")
    return rows


@app.command()
def panels(
    model: Annotated[Path | None, typer.Argument(help="The shipped model by default.")] = None,
    data: Annotated[str, typer.Option()] = "lightdepth/demo_data",
    output: Annotated[Path, typer.Option()] = Path("panels.png"),
    count: Annotated[int, typer.Option(min=1)] = 4,
) -> None:
    """Draw input, ground truth, prediction, error, and sigma of models that have it, of a few test pairs."""
    pairs = load_pairs(data, "test").spread(count).pairs
    with DepthEstimator.load(model, device="cpu") as estimator:
        frames = [(pair.name, pair.read()) for pair in pairs]
        rows = [estimated_panel(estimator, frame.image, frame.depth_m, name) for name, frame in frames]
    draw_panels(rows, output)


@dataclass(frozen=True)
class Scored:
    """A frame and what the model makes of it."""

    image: NDArray[np.uint8]
    truth_m: NDArray[np.float32]
    depth_m: NDArray[np.float32]
    sigma: NDArray[np.float32]

    @property
    def abs_rel(self) -> float:
        """Mean |prediction - truth| / truth over the readings."""
        valid = self.truth_m > 0
        return float(np.mean(np.abs(self.depth_m - self.truth_m)[valid] / self.truth_m[valid]))


@app.command()
def readme(output: Annotated[Path, typer.Option()] = Path("benchmarks/results/lite0_tum.png")) -> None:
    """Draw the README's picture: each recording's frame of median error, the worst, and a lens twice as long.

    None of the demo's frames was trained on; others of the same two recordings were.
    """
    pairs = [pair for split in ("train", "test") for pair in load_pairs(DEMO_DATA, split).pairs]
    with DepthEstimator.load("lite0", device="cpu") as estimator:
        scored = {pair: score(estimator, frame.image, frame.depth_m) for pair in pairs for frame in (pair.read(),)}
        scenes = {scene: by_error(scored[pair] for pair in pairs if pair.scene == scene) for scene in SCENES}
        desk = scenes["freiburg1_rpy"]
        middle = desk[len(desk) // 2]
        height, width = middle.truth_m.shape
        rows, columns = (slice(round(n * (1 - 1 / LENS) / 2), round(n * (1 + 1 / LENS) / 2)) for n in (height, width))
        longer = score(estimator, np.ascontiguousarray(middle.image[rows, columns]), middle.truth_m[rows, columns])
    shown = {f"{SCENES[scene]},\nmedian of {len(found)}": found[len(found) // 2] for scene, found in scenes.items()}
    shown[f"worst of\nall {len(pairs)}"] = by_error(scored.values())[-1]
    shown[f"{LENS:g}x the focal length,\nnot given"] = longer
    draw_readme(shown, output)
    for name, one in shown.items():
        print(f"{' '.join(name.split())}: AbsRel {one.abs_rel:.3f}")


def by_error(scored: Iterable[Scored]) -> list[Scored]:
    """Sort frames, the best first."""
    return sorted(scored, key=lambda one: one.abs_rel)


def score(estimator: DepthEstimator, image: NDArray[np.uint8], truth_m: NDArray[np.float32]) -> Scored:
    """Estimate a frame's depth and sigma."""
    predicted = estimator.predict(image)
    assert predicted.sigma is not None
    return Scored(image, truth_m, predicted.depth_m, predicted.sigma)


def draw_readme(rows: dict[str, Scored], output: Path) -> None:
    """Draw a row for each frame, every column with one scale under it."""
    titles = ("Image", "Kinect's depth", "lite0", "lite0 - Kinect", "lite0's sigma")
    figure = Figure((11.5, 1.72 * len(rows) + 0.75), dpi=DPI, layout="constrained")
    *axes, bars = figure.subplots(len(rows) + 1, len(titles), height_ratios=[1] * len(rows) + [0.07])
    labels = ("", "depth, m", "depth, m", "error, m", "sigma, %")
    shown = []
    for line, (name, one) in zip(axes, rows.items(), strict=True):
        no_reading = one.truth_m == 0
        pictures = (
            (one.image, None, (None, None)),
            (np.ma.masked_where(no_reading, one.truth_m), DEPTH_COLORS, DEPTHS_M),
            (one.depth_m, DEPTH_COLORS, DEPTHS_M),
            (np.ma.masked_invalid(signed_error(one.depth_m, one.truth_m)), ERROR_COLORS, ERRORS_M),
            (100 * one.sigma, SIGMA_COLORS, SIGMAS_PERCENT),
        )
        shown = []
        for axis, (picture, colors, (low, high)) in zip(line, pictures, strict=True):
            axis.set(facecolor=NO_READING_COLOR, xticks=[], yticks=[])
            shown.append(axis.imshow(picture, cmap=colors, vmin=low, vmax=high, interpolation="nearest"))
        line[0].set_ylabel(f"{name}\nAbsRel {one.abs_rel:.3f}", fontsize=9)
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=11)
    bars[0].set_axis_off()
    for axis, label, picture in zip(bars[1:], labels[1:], shown[1:], strict=True):
        drawn = figure.colorbar(
            picture, cax=axis, orientation="horizontal", extend="max" if "sigma" in label else "both"
        )
        drawn.set_label(label, fontsize=9)
        axis.tick_params(labelsize=9)
    with atomic_path(output) as temporary:
        figure.savefig(temporary, format="png")


if __name__ == "__main__":
    app()
