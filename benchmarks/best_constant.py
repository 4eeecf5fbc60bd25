"""Score the best constant depth: what a model must beat to have learnt anything.

Usage: python benchmarks/best_constant.py --data DIR [--by rmse_m|abs_rel] [--json FILE]

The constant is the one with the lowest metric (mean over images) on the training pairs; it is scored on the test pairs.
"""

from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.metrics import image_metrics
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import PairSet, load_pairs

CANDIDATES_M = np.arange(1.0, 5.0, 0.05)
EVERY = 5  # of the training pairs; the curve is flat near its minimum


def best_constant_m(training: PairSet, metric: str) -> float:
    """Return the constant with the lowest mean metric over a share of the training pairs."""
    protocol = get_protocol("eigen")
    truths = [pair.read().depth_m for pair in training.pairs[::EVERY]]
    errors = [
        np.mean([getattr(image_metrics(np.full((1, 1), c, np.float32), truth, protocol), metric) for truth in truths])
        for c in CANDIDATES_M
    ]
    return float(CANDIDATES_M[int(np.argmin(errors))])


def main(
    data: Annotated[Path, typer.Option()],
    by: Annotated[Literal["rmse_m", "abs_rel"], typer.Option()] = "rmse_m",
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Find the constant on the training split, score it on the test split."""
    constant_m = best_constant_m(load_pairs(data, "train"), by)
    prediction = np.full((1, 1), constant_m, np.float32)
    name = f"constant {constant_m:.2f} m"
    result = evaluate(lambda _: prediction, load_pairs(data, "test"), get_protocol("eigen"), model=name)
    print(f"{name}: {result.metrics}")
    if json:
        write_json(json, result.to_dict())


if __name__ == "__main__":
    typer.run(main)
