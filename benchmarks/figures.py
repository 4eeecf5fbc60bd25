"""Draw what the model card shows: the curves of a training run, and predictions beside the truth.

Usage: python benchmarks/figures.py curves runs/NAME... --output curves.png
       python benchmarks/figures.py panels [MODEL] --data lightdepth/demo_data --output panels.png
"""

from pathlib import Path
from typing import Annotated

import typer
from matplotlib.figure import Figure

from lightdepth.compare.panels import draw_panels, estimated_panel
from lightdepth.runs.folder import RunFolder
from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs

app = typer.Typer(add_completion=False)
DPI = 110


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


if __name__ == "__main__":
    app()
