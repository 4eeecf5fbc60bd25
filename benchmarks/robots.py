"""Every figure of docs/robots.md in one command: live scale, obstacles, camera height, steady depth.

Usage: python benchmarks/robots.py [MODEL] --nyu DIR --sequence LIST [--only NAME] [--suffix END]

DIR is NYU Depth V2 in any packaging. LIST holds the frames of a video in their order, here of TUM freiburg1_rpy; the
list's folder names it. The TUM pairs are those of the model card, in `lightdepth/demo_data`. Each part writes
`robots_NAME.json` and prints the rows of the page's table.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import live_scale
import obstacles
import steady
import typer

from lightdepth_runtime import DepthEstimator, __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.evaluation.sequence import evaluate_sequence
from lightdepth_runtime.pairs import PairSet, load_pairs
from lightdepth_runtime.progress import track
from lightdepth_runtime.spec import Intrinsics

TUM = Path(__file__).parents[1] / "lightdepth" / "demo_data"
# Of 640x480; NYU's toolbox, and https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats for freiburg3.
NYU_CAMERA = Intrinsics(518.858, 519.470, 325.582, 253.736, 640, 480)
TUM_CAMERA = Intrinsics(535.4, 539.2, 320.1, 247.6, 640, 480)
SEEDS, TIMING_ROUNDS = 3, 5


def scale_row(name: str, result: dict[str, Any]) -> str:
    """Return a row of AbsRel by points."""
    cells = [f"{row['abs_rel']:.3f}" for row in result["by_points"]]
    worst = max(max(row["abs_rel_over_plain"], row["rmse_over_plain"]) for row in result["by_points"])
    return f"| {name} | {' | '.join(cells)} | {result['median_aligned']['abs_rel']:.3f} | {worst:.3f} |"


def obstacle_rows(name: str, result: dict[str, Any]) -> str:
    """Return a row for each kind of depth."""
    return "\n".join(
        f"| {name} | {kind.replace('_', ' ')} | {row['median_error']:.1%} | {row['missed_under_2_m']:.1%} | "
        f"{row['false_stops']:.1%} | {row['sectors']} |"
        for kind, row in result["obstacles"].items()
    )


def height_row(name: str, result: dict[str, Any]) -> str:
    """Return a row of the scale from the camera's height."""
    row = result["camera_height"]
    return (
        f"| {name} | {row['images_with_floor']} | {row['found']} | {row['median_scale_error_before']:.1%} | "
        f"{row['median_scale_error']:.1%} | {row['wrong_by_a_fifth']:.1%} | "
        f"{row['refused_without_floor']} of {row['images_without_floor']} |"
    )


def steady_rows(name: str, result: dict[str, Any]) -> str:
    """Return a row: flicker and AbsRel of plain and of steady depth, the least flicker, time and lag."""
    plain, smooth, ratio = result["plain"], result["steady"], result["cost"]["ratio_p50"]
    return (
        f"| {name} | {plain['flicker']:.4f} | {smooth['flicker']:.4f} | {result['carried_flicker']:.4f} | "
        f"{plain['abs_rel']:.3f} | {smooth['abs_rel']:.3f} | {ratio:.2f} | {result['lag']['lag']:.1%} |"
    )


def main(
    nyu: Annotated[Path, typer.Option(help="NYU Depth V2.")],
    sequence: Annotated[list[Path], typer.Option(help="A pair list of consecutive frames. Repeatable.")],
    model: Annotated[str | None, typer.Argument(help="A model. Default: the shipped model.")] = None,
    results: Annotated[Path, typer.Option(help="Folder of the JSON files.")] = Path(__file__).parent / "results",
    suffix: Annotated[str, typer.Option(help="Ends the JSON files' names, for a second model. Default: none.")] = "",
    only: Annotated[str | None, typer.Option(help="One part by its name. Default: all.")] = None,
) -> None:
    """Run every part, write its JSON, print its rows."""
    eigen, whole = get_protocol("eigen"), get_protocol("none")
    nyu_pairs = load_pairs(nyu, "test").pairs
    tum_pairs = [pair for split in ("train", "test") for pair in load_pairs(TUM, split).pairs]
    cabinet = [pair for pair in tum_pairs if "freiburg3" in pair.name]
    sequences = [load_pairs(path, "test") for path in sequence]
    with DepthEstimator.load(model, "cpu", 1) as estimator:
        common = {
            "lightdepth_version": __version__,
            "model": estimator.describe(),
            "checkpoint_sha256": estimator.spec.checkpoint_sha256,
            "machine": describe_machine().to_dict(),
        }

        def scale(pairs: Any, protocol: Any, layout: live_scale.Layout, seeds: int) -> dict[str, Any]:
            drawn = {
                "layout": layout,
                "seeds": list(range(seeds)),
                "noise": live_scale.NOISE,
                "outliers": live_scale.OUTLIERS,
                "outlier_range_m": live_scale.OUTLIER_RANGE_M,
            }
            return {**drawn, **live_scale.score(estimator, pairs, protocol, layout, seeds)}

        def steadiness(frames: PairSet) -> dict[str, Any]:
            scored = evaluate_sequence(estimator, frames, whole, progress=lambda f: track(f, "Scoring", len(f)))
            times = steady.cost(estimator, frames, TIMING_ROUNDS)
            least = steady.carried_flicker(estimator, frames, whole)
            return {**scored.to_dict(), "cost": times, "lag": steady.lag(estimator, frames), **least}

        parts: dict[str, tuple[Any, Callable[[], dict[str, Any]], Callable[[dict[str, Any]], str]]] = {}
        for name, pairs, protocol in (("nyu", nyu_pairs, eigen), ("tum", tum_pairs, whole)):
            for layout in ("everywhere", "row", "window"):
                parts[f"scale_{name}_{layout}"] = (
                    {"pairs": len(pairs), "protocol": protocol.to_dict()},
                    lambda given=(pairs, protocol, layout, SEEDS): scale(*given),
                    lambda result, label=f"{name}, {layout}": scale_row(label, result),
                )
        for name, pairs, camera, protocol in (
            ("nyu", nyu_pairs, NYU_CAMERA, eigen),
            ("tum", cabinet, TUM_CAMERA, whole),
        ):
            parts[f"obstacles_{name}"] = (
                {"pairs": len(pairs), "protocol": protocol.to_dict()},
                lambda given=(pairs, camera, protocol): obstacles.measure(estimator, *given),
                lambda result, label=name: f"{obstacle_rows(label, result)}\n{height_row(label, result)}",
            )
        for frames in sequences:
            parts[f"steady_{frames.name}"] = (
                {},
                lambda given=frames: steadiness(given),
                lambda result, label=frames.name: steady_rows(label, result),
            )
        for name, (about, run, show) in parts.items():
            if only in (None, name):
                result = run()
                write_json(
                    results / f"robots_{name}{suffix}.json",
                    {**common, **about, **result, "schema": "lightdepth.robots/1"},
                )
                print(show(result), flush=True)


if __name__ == "__main__":
    typer.run(main)
