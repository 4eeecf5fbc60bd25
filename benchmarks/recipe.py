"""Compare the parts of the training recipe on `lite0`, one change at a time, on held-out training scenes.

Usage: python benchmarks/recipe.py --data DIR --encoder-weights lite0.safetensors [--json FILE]

Each run is short (5 epochs at 160x128) and is scored on the validation scenes, never on test pairs. Short runs rank
parts; they don't predict the figures of a long run. A run that is already in --output is not repeated.
"""

from pathlib import Path
from typing import Annotated

import typer

from lightdepth.config import load_config
from lightdepth.runs.folder import RunFolder
from lightdepth.training.train import train
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine

BASE = [
    *("model=lite0", "image_height=128", "image_width=160", "epochs=5", "learning_rate=1.5e-3"),
    *("val_fraction=0.25", "num_workers=0", "num_threads=1", "rmse_weight=0"),
]
VARIANTS = {
    "base: log depth, SILog + gradients + L1, half of the pairs zoomed, EMA": [],
    "every pair zoomed": ["zoom_share=1"],
    "no zoom": ["zoom_share=0"],
    "RMSE in metres beside the loss (rmse_weight 0.3)": ["rmse_weight=0.3"],
    "plain L1 in metres": ["loss=l1"],
    "softplus metres instead of log depth": ["output=softplus"],
    "SILog that forgives less of a wrong scale (silog_lambda 0.5)": ["silog_lambda=0.5"],
}
EPOCHS_AVERAGED = 2  # the last ones: steadier than a single epoch


def main(
    data: Annotated[str, typer.Option()],
    encoder_weights: Annotated[str, typer.Option()],
    output: Annotated[Path, typer.Option()] = Path("runs/recipe"),
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value for all runs")] = None,
    only: Annotated[
        list[int] | None, typer.Option(help="Numbers of variants; two processes can share the work")
    ] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Train every variant that is not there yet and print the table."""
    rows = []
    for number, (name, changes) in enumerate(VARIANTS.items()):
        if only and number not in only:
            continue
        folder = RunFolder(output / f"variant-{number}")
        settings = [*BASE, f"data_root={data}", f"encoder_weights={encoder_weights}", *(overrides or []), *changes]
        config = load_config(None, settings)
        if len(folder.read_metrics()) < config.epochs:
            train(config, folder.path, resume=bool(folder.states()), say=print)
        last = folder.read_metrics()[-EPOCHS_AVERAGED:]
        scores = {key: sum(row[key] for row in last) / len(last) for key in ("rmse_m", "abs_rel", "delta1")}
        seconds = sum(row["seconds"] for row in folder.read_metrics())
        rows.append({"variant": name, "changes": changes, **scores, "train_seconds": seconds})
        print(f"{name}: RMSE {scores['rmse_m']:.3f} m, AbsRel {scores['abs_rel']:.3f}, delta1 {scores['delta1']:.3f}")
    if json:
        result = {"schema": "lightdepth.recipe/1", "base": BASE, "machine": describe_machine().to_dict(), "rows": rows}
        write_json(json, result)


if __name__ == "__main__":
    typer.run(main)
