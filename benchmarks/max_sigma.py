"""What `--max-sigma` leaves out: how much of the depth, and how wrong that is.

Usage: python benchmarks/max_sigma.py MODEL --data DIR|LIST [--split test] [--protocol eigen] [--most 100] [--json FILE]

MODEL gives sigma. For each threshold: the share of the pixels past it, delta1 of what is kept and of what is left out,
and for both the share that is off by a factor of more than 1.5. Every pixel with a reading counts the same.
"""

from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.progress import track

THRESHOLDS = (0.25, 0.3, 0.4, 0.5)
FACTORS = (1.25, 1.5)  # delta1's, and one that is wrong for any use


def main(
    model: Path,
    data: Annotated[Path, typer.Option()],
    split: Annotated[str, typer.Option()] = "test",
    protocol: Annotated[str, typer.Option()] = "eigen",
    most: Annotated[int | None, typer.Option(min=1, help="Of the pairs, evenly spread; all by default.")] = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print the table; write the JSON where asked."""
    pairs, rules = load_pairs(data, split), get_protocol(protocol)
    pairs = pairs.spread(most) if most else pairs
    # Pixels within each factor, or all (last), by whether the threshold keeps them.
    counts = np.zeros((len(THRESHOLDS), 2, len(FACTORS) + 1), np.int64)
    sigmas: list[NDArray[np.float32]] = []
    with DepthEstimator.load(model, "cpu", threads) as estimator:
        spec = estimator.spec
        for pair in track(pairs.pairs, "Predicting", len(pairs)):
            frame = pair.read()
            predicted, valid = estimator.predict(frame.image), rules.valid(frame.depth_m)
            error, sigma = np.abs(np.log(predicted.depth_m[valid] / frame.depth_m[valid])), predicted.sigma[valid]
            within = [error < np.log(factor) for factor in FACTORS] + [np.ones(error.shape, bool)]
            for number, threshold in enumerate(THRESHOLDS):
                for side, mask in enumerate((sigma <= threshold, sigma > threshold)):
                    counts[number, side] += [np.count_nonzero(ok & mask) for ok in within]
            sigmas.append(sigma[::50])
    rows = [_row(threshold, *counts[number]) for number, threshold in enumerate(THRESHOLDS)]
    for row in rows:
        print(" ".join(f"{key} {value:.4g}" for key, value in row.items()))
    percentiles = dict(
        zip(("p5", "p50", "p95"), np.percentile(np.concatenate(sigmas), (5, 50, 95)).tolist(), strict=True)
    )
    print("sigma", percentiles)
    if json:
        result: dict[str, Any] = {
            "schema": "lightdepth.max-sigma/1",
            "model": spec.name,
            "checkpoint_sha256": spec.checkpoint_sha256,
            "calibration": spec.calibration.describe() if spec.calibration else None,
            "data": {"name": pairs.name, "packaging": pairs.packaging, "split": pairs.split},
            "samples": len(pairs),
            "protocol": rules.id,
            "sigma": percentiles,
            "rows": rows,
            "machine": describe_machine().to_dict(),
        }
        write_json(json, result)


def _row(threshold: float, kept: NDArray[np.int64], dropped: NDArray[np.int64]) -> dict[str, float]:
    row = {"max_sigma": threshold, "dropped": float(dropped[-1] / (kept[-1] + dropped[-1]))}
    for name, part in (("kept", kept), ("dropped", dropped)):
        if part[-1]:
            row |= {f"delta1_{name}": float(part[0] / part[-1]), f"off_by_half_{name}": float(1 - part[1] / part[-1])}
    return row


if __name__ == "__main__":
    typer.run(main)
