"""What do a few known distances bring? Depth of NYU and TUM pairs corrected by points drawn from their truth.

Usage: python benchmarks/live_scale.py [MODEL] --data DIR [--split test] [--protocol eigen] --json FILE
       python benchmarks/live_scale.py [MODEL] --data LIST --protocol none --json FILE
       python benchmarks/live_scale.py [MODEL] --data LIST --split train --prior

Points are pixels drawn from those that the protocol counts, each with noise of 2 %; one in ten has a distance that has
nothing to do with the place: log-uniform between 0.3 and 10 m. `--layout` draws them all over the image, from one
row (a lidar's), or from a window of a fifth of each side (a time-of-flight chip's zones). Every seed draws anew.
`--prior` measures instead how far the model is off: the standard deviations behind `scale/fit.py`.
"""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import typer
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator, LightDepthError, __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.metrics import DepthMetrics, image_metrics, mean_metrics
from lightdepth_runtime.evaluation.protocol import Protocol, get_protocol
from lightdepth_runtime.pairs import Pair, load_pairs
from lightdepth_runtime.progress import track
from lightdepth_runtime.scale import fit_correction
from lightdepth_runtime.scale.correction import TERMS, basis

COUNTS = (0, 1, 4, 16, 64, 256)
NOISE = 0.02  # standard deviation of log distance
OUTLIERS = 0.1
OUTLIER_RANGE_M = (0.3, 10.0)
WINDOW = 0.2  # of each side
PRIOR_STRIDE = 8  # every eighth pixel of every eighth row tells the error's shape

Layout = Literal["everywhere", "row", "window"]


def draw_points(
    truth_m: NDArray[np.float32], mask: NDArray[np.bool_], count: int, layout: Layout, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Return points (count, 3): x, y, metres; fewer where the layout has fewer pixels with a reading."""
    height, width = mask.shape
    place = np.ones_like(mask)
    if layout == "row":
        place = np.zeros_like(mask)
        place[rng.integers(height // 3, 2 * height // 3)] = True
    elif layout == "window":
        place = np.zeros_like(mask)
        top, left = rng.integers(0, round(height * (1 - WINDOW))), rng.integers(0, round(width * (1 - WINDOW)))
        place[top : top + round(height * WINDOW), left : left + round(width * WINDOW)] = True
    choice = np.flatnonzero(mask & place)
    chosen = rng.choice(choice, min(count, len(choice)), replace=False)
    metres = truth_m.flat[chosen].astype(np.float64) * np.exp(rng.normal(0, NOISE, len(chosen)))
    wrong = rng.random(len(chosen)) < OUTLIERS
    near, far = (math.log(limit_m) for limit_m in OUTLIER_RANGE_M)
    metres[wrong] = np.exp(rng.uniform(near, far, int(wrong.sum())))
    return np.stack([chosen % width, chosen // width, metres], axis=1)


def score(
    estimator: DepthEstimator, pairs: Sequence[Pair], protocol: Protocol, layout: Layout, seeds: int
) -> dict[str, Any]:
    """Return the metrics of each count, averaged over images and seeds, with the plain and the median-aligned ones."""
    aligned = get_protocol(protocol.name, "median")
    rows: dict[int, list[DepthMetrics]] = {count: [] for count in COUNTS}
    median: list[DepthMetrics] = []
    refused = dict.fromkeys(COUNTS, 0)
    for number, pair in enumerate(track(pairs, "Correcting", len(pairs))):
        frame = pair.read()
        depth_m = estimator(frame.image)
        mask = protocol.valid(frame.depth_m)
        median.append(image_metrics(depth_m, frame.depth_m, aligned, pair.name))
        for count in COUNTS:
            for seed in range(seeds if count else 1):
                rng = np.random.default_rng([seed, count, number])
                points = draw_points(frame.depth_m, mask, count, layout, rng)
                corrected = depth_m.copy()
                try:
                    fit_correction(depth_m, points).apply(corrected)
                except LightDepthError:  # the caller has the plain depth then
                    refused[count] += 1
                rows[count].append(image_metrics(corrected, frame.depth_m, protocol, pair.name))
    plain = mean_metrics(rows[0])
    by_count = []
    for count in COUNTS:
        mean = mean_metrics(rows[count])
        by_count.append(
            {
                "points": count,
                "rmse_m": mean.rmse_m,
                "abs_rel": mean.abs_rel,
                "delta1": mean.delta1,
                "rmse_over_plain": mean.rmse_m / plain.rmse_m,
                "abs_rel_over_plain": mean.abs_rel / plain.abs_rel,
                "images_worse_than_1.02": float(
                    np.mean([m.abs_rel > 1.02 * p.abs_rel for m, p in _beside(rows[count], rows[0])])
                ),
                "refused": refused[count],
            }
        )
    return {"by_points": by_count, "median_aligned": mean_metrics(median).to_dict()}


def _beside(many: Sequence[DepthMetrics], few: Sequence[DepthMetrics]) -> list[tuple[DepthMetrics, DepthMetrics]]:
    each = len(many) // len(few)
    return [(metrics, few[number // each]) for number, metrics in enumerate(many)]


def measure_prior(estimator: DepthEstimator, pairs: Sequence[Pair], protocol: Protocol) -> dict[str, float]:
    """Return root mean squares over images of the scale, of the waves times their order, and of what is left."""
    order = np.array([max(i + j, 1) for i, j in TERMS])
    coefficients, rest = [], []
    for pair in track(pairs, "Measuring", len(pairs)):
        frame = pair.read()
        depth_m = estimator(frame.image)
        height, width = frame.depth_m.shape
        down, across = np.mgrid[0:height:PRIOR_STRIDE, 0:width:PRIOR_STRIDE]
        mask = protocol.valid(frame.depth_m)[down, across]
        down, across = down[mask], across[mask]
        log_ratio = np.log(frame.depth_m[down, across].astype(np.float64) / depth_m[down, across].astype(np.float64))
        waves = basis((across + 0.5) / width, (down + 0.5) / height)
        ridge = 1e-2 * len(waves) * np.eye(len(TERMS))  # holes leave some waves undetermined
        ridge[0, 0] = 0
        fitted = np.linalg.solve(waves.T @ waves + ridge, waves.T @ log_ratio)
        coefficients.append(fitted * order)
        rest.append(np.sqrt(np.mean((log_ratio - waves @ fitted) ** 2)))
    values = np.array(coefficients)  # (images, terms)
    return {
        "scale_std": float(np.sqrt(np.mean(values[:, 0] ** 2))),
        "shape_std": float(np.sqrt(np.mean(values[:, 1:] ** 2))),
        "local_std": float(np.sqrt(np.mean(np.square(rest)))),
    }


def main(
    data: Annotated[Path, typer.Option(help="RGB-D pairs.")],
    model: Annotated[Path | None, typer.Argument(help="A model file. Default: the shipped model.")] = None,
    split: Annotated[str, typer.Option(help="Default: test.")] = "test",
    protocol: Annotated[str, typer.Option(help="Default: eigen.")] = "eigen",
    layout: Annotated[Layout, typer.Option(help="Where the points lie. Default: everywhere.")] = "everywhere",
    seeds: Annotated[int, typer.Option(min=1, help="Default: 3.")] = 3,
    most: Annotated[int | None, typer.Option(min=1, help="Pairs, evenly spread. Default: all.")] = None,
    prior: Annotated[bool, typer.Option("--prior", help="Measure the model's errors instead.")] = False,
    json: Annotated[Path | None, typer.Option(help="Default: none is written.")] = None,
) -> None:
    """Print the table; write the JSON where asked."""
    pairs = load_pairs(data, split)
    pairs = pairs.spread(most) if most else pairs
    rules = get_protocol(protocol)
    with DepthEstimator.load(model, "cpu", 1) as estimator:
        if prior:
            print({name: round(value, 3) for name, value in measure_prior(estimator, pairs.pairs, rules).items()})
            return
        result = score(estimator, pairs.pairs, rules, layout, seeds)
        name = estimator.spec.name
    for row in result["by_points"]:
        print(
            f"{row['points']:4d} points: RMSE {row['rmse_m']:.3f} m ({row['rmse_over_plain']:.3f} of plain), "
            f"AbsRel {row['abs_rel']:.3f} ({row['abs_rel_over_plain']:.3f}), refused {row['refused']}"
        )
    print(f"median-aligned: RMSE {result['median_aligned']['rmse_m']:.3f}, {result['median_aligned']['abs_rel']:.3f}")
    if json:
        content = {
            "schema": "lightdepth.live-scale/1",
            "lightdepth_version": __version__,
            "model": name,
            "data": {"name": pairs.name, "packaging": pairs.packaging, "split": pairs.split, "pairs": len(pairs)},
            "protocol": rules.to_dict(),
            "noise": NOISE,
            "outliers": OUTLIERS,
            "outlier_range_m": OUTLIER_RANGE_M,
            "layout": layout,
            "seeds": list(range(seeds)),
            **result,
        }
        write_json(json, content)


if __name__ == "__main__":
    typer.run(main)
