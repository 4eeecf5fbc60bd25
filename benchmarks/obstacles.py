"""How far off is the nearest obstacle of each direction, and how far the scale from the camera's height?

Usage: python benchmarks/obstacles.py [MODEL] --data DIR --camera 518.86,519.47,325.58,253.74 [--json FILE]
       python benchmarks/obstacles.py [MODEL] --data LIST --protocol none --camera 535.4,539.2,320.1,247.6

Truth is the same function on true depth; the camera's height, tilt and roll come from the floor in the true depth, and
only images with a floor count. Three kinds of depth are compared with it: the model's own, that corrected by 16 points
(drawn as in `live_scale.py`), and that corrected by the camera's height. An obstacle under 2 m is missed where the
estimate has none under 2.5 m, a stop is false where the truth has nothing under 2.5 m and the estimate something under
2 m. Images without a floor tell how often a floor is seen that isn't there; their tilt is taken as 10 degrees.
"""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from live_scale import draw_points
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator, LightDepthError, __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.protocol import Protocol, get_protocol
from lightdepth_runtime.floor import Floor, find_floor
from lightdepth_runtime.obstacles import find_obstacles
from lightdepth_runtime.pairs import Pair, load_pairs
from lightdepth_runtime.progress import track
from lightdepth_runtime.scale import correction_from_height, fit_correction
from lightdepth_runtime.spec import Intrinsics

POINTS = 16
NEAR_M, MARGIN = 2.0, 1.25
RANGES_M = (0.0, 1.0, 1.5, 2.0, 3.0, 4.0, 10.0)
USUAL_TILT_DEG = 10.0  # the median of NYU images with a floor
WRONG = 0.2  # of the scale: more is a wrong floor


@dataclass(frozen=True, eq=False)
class _Sectors:
    """The nearest distances of one kind of depth beside the true ones, (N,) each; infinite where nothing stands."""

    estimated_m: NDArray[np.float32]
    true_m: NDArray[np.float32]


def _compare(
    kinds: dict[str, NDArray[np.float32]], truth_m: NDArray[np.float32], camera: Intrinsics, floor: Floor
) -> dict[str, _Sectors]:
    true_m = find_obstacles(truth_m, camera, floor.mount).ranges_m
    known = ~np.isnan(true_m)
    found = {}
    for kind, depth_m in kinds.items():
        seen_m = np.where(truth_m > 0, depth_m, 0).astype(np.float32)  # where the truth has holes, so has the estimate
        found[kind] = _Sectors(find_obstacles(seen_m, camera, floor.mount).ranges_m[known], true_m[known])
    return found


def _summary(parts: Sequence[_Sectors]) -> dict[str, Any]:
    estimated = np.concatenate([part.estimated_m for part in parts]).astype(np.float64)
    true = np.concatenate([part.true_m for part in parts]).astype(np.float64)
    both = np.isfinite(estimated) & np.isfinite(true)
    error = np.abs(estimated[both] - true[both]) / true[both]
    near, free = true < NEAR_M, true > MARGIN * NEAR_M
    by_distance = []
    for low, high in pairwise(RANGES_M):
        inside = (true >= low) & (true < high)
        if not inside.any():
            continue
        here = error[inside[both]]
        row: dict[str, Any] = {"low_m": low, "high_m": high, "sectors": int(inside.sum())}
        row["median_error"] = float(np.median(here)) if len(here) else None
        if high <= NEAR_M:
            row["missed"] = float((estimated[inside] > MARGIN * NEAR_M).mean())
        else:
            row["estimated_under_2_m"] = float((estimated[inside] < NEAR_M).mean())
        by_distance.append(row)
    return {
        "images": len(parts),
        "sectors": len(true),
        "median_error": float(np.median(error)),
        "p90_error": float(np.percentile(error, 90)),
        "missed_under_2_m": float((estimated[near] > MARGIN * NEAR_M).mean()),
        "near_sectors": int(near.sum()),
        "false_stops": float((estimated[free] < NEAR_M).mean()),
        "free_sectors": int(free.sum()),
        "by_distance": by_distance,
    }


def measure(estimator: DepthEstimator, pairs: Sequence[Pair], camera: Intrinsics, protocol: Protocol) -> dict[str, Any]:
    """Return the tables of obstacles and of the scale by the camera's height."""
    sectors: dict[str, list[_Sectors]] = {"plain": [], f"{POINTS}_points": [], "camera_height": []}
    scale_error: list[float] = []
    plain_error: list[float] = []
    seen = seen_wrongly = without = 0
    for number, pair in enumerate(track(pairs, "Looking ahead", len(pairs))):
        frame = pair.read()
        own = camera.scaled_to(frame.image.shape[1], frame.image.shape[0])
        valid = protocol.valid(frame.depth_m)
        truth_m = np.where(valid, frame.depth_m, 0).astype(np.float32)
        depth_m = estimator(frame.image)
        try:
            floor = find_floor(truth_m, own)
        except LightDepthError:
            without += 1
            seen_wrongly += _sees_floor(depth_m, own)
            continue
        true_log = float(np.median(np.log(truth_m[valid].astype(np.float64) / depth_m[valid])))
        plain_error.append(abs(true_log))
        points = draw_points(frame.depth_m, valid, POINTS, "everywhere", np.random.default_rng([0, POINTS, number]))
        kinds = {"plain": depth_m, f"{POINTS}_points": depth_m.copy()}
        with suppress(LightDepthError):  # the caller has the plain depth then
            fit_correction(depth_m, points).apply(kinds[f"{POINTS}_points"])
        with suppress(LightDepthError):
            correction = correction_from_height(depth_m, own, floor.mount)
            kinds["camera_height"] = correction.apply(depth_m.copy())
            scale_error.append(abs(float(np.log(correction.scale)) - true_log))
            seen += 1
        for kind, found in _compare(kinds, truth_m, own, floor).items():
            sectors[kind].append(found)
    errors = np.array(scale_error)
    return {
        "obstacles": {kind: _summary(parts) for kind, parts in sectors.items() if parts},
        "camera_height": {
            "images_with_floor": len(plain_error),
            "found": seen,
            "median_scale_error": float(np.median(errors)),
            "median_scale_error_before": float(np.median(plain_error)),
            "wrong_by_a_fifth": float((errors > WRONG).mean()),
            "images_without_floor": without,
            "refused_without_floor": without - seen_wrongly,
        },
    }


def _sees_floor(depth_m: NDArray[np.float32], camera: Intrinsics) -> bool:
    try:
        find_floor(depth_m, camera, tilt_deg=USUAL_TILT_DEG)
    except LightDepthError:
        return False
    return True


def main(
    data: Annotated[Path, typer.Option(help="RGB-D pairs.")],
    camera: Annotated[str, typer.Option(metavar="FX,FY,CX,CY", help="In pixels of 640x480.")],
    model: Annotated[Path | None, typer.Argument(help="A model file. Default: the shipped model.")] = None,
    split: Annotated[str, typer.Option(help="Default: test.")] = "test",
    protocol: Annotated[str, typer.Option(help="Which pixels count. Default: eigen.")] = "eigen",
    most: Annotated[int | None, typer.Option(min=1, help="Pairs, evenly spread. Default: all.")] = None,
    json: Annotated[Path | None, typer.Option(help="Default: none is written.")] = None,
) -> None:
    """Print both tables; write the JSON where asked."""
    fx, fy, cx, cy = (float(word) for word in camera.split(","))
    pairs = load_pairs(data, split)
    pairs = pairs.spread(most) if most else pairs
    rules = get_protocol(protocol)
    with DepthEstimator.load(model, "cpu", 1) as estimator:
        result = measure(estimator, pairs.pairs, Intrinsics(fx, fy, cx, cy, 640, 480), rules)
        name = estimator.spec.name
    for kind, row in result["obstacles"].items():
        print(
            f"{kind}: median error {row['median_error']:.1%} of {row['sectors']} directions; missed under 2 m "
            f"{row['missed_under_2_m']:.1%} of {row['near_sectors']}, false stops {row['false_stops']:.1%} of "
            f"{row['free_sectors']}"
        )
    print(result["camera_height"])
    if json:
        content = {
            "schema": "lightdepth.obstacles/1",
            "lightdepth_version": __version__,
            "model": name,
            "data": {"name": pairs.name, "packaging": pairs.packaging, "split": pairs.split, "pairs": len(pairs)},
            "protocol": rules.to_dict(),
            "points": POINTS,
            **result,
        }
        write_json(json, content)


if __name__ == "__main__":
    typer.run(main)
