"""How wrong is depth of a camera that is rolled? NYU's test images, turned.

Usage: python benchmarks/rolled.py [MODEL] --data DIR [--most 100] [--json FILE]

Images and truth are turned together; what the turn brings in from outside is mirrored colour without truth.
"""

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator, __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.progress import track

DEGREES = (0, 5, 10, 20, 30, 45, 90, 180)


def turned(array: NDArray[Any], degrees: int, *, smooth: bool) -> NDArray[Any]:
    """Return an image (H, W, 3) or its truth (H, W) as a rolled camera sees it; by 90 and 180 nothing is cut off."""
    if degrees % 90 == 0:
        return np.ascontiguousarray(np.rot90(array, degrees // 90))
    height, width = array.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1)
    if smooth:
        return np.asarray(cv2.warpAffine(array, matrix, (width, height), borderMode=cv2.BORDER_REFLECT))
    return np.asarray(cv2.warpAffine(array, matrix, (width, height), flags=cv2.INTER_NEAREST))


def main(
    data: Annotated[Path, typer.Option(help="RGB-D pairs.")],
    model: Annotated[str | None, typer.Argument(help="A model. Default: the shipped model.")] = None,
    most: Annotated[int, typer.Option(min=1, help="Pairs, evenly spread. Default: 100.")] = 100,
    json: Annotated[Path | None, typer.Option(help="Default: none is written.")] = None,
) -> None:
    """Print AbsRel by the roll; write the JSON where asked."""
    pairs, rules = load_pairs(data, "test").spread(most), get_protocol("eigen")
    errors: dict[int, list[float]] = {degrees: [] for degrees in DEGREES}
    with DepthEstimator.load(model, "cpu", 1) as estimator:
        for pair in track(pairs.pairs, "Turning", len(pairs)):
            frame = pair.read()
            valid_m = np.where(rules.valid(frame.depth_m), frame.depth_m, 0).astype(np.float32)
            for degrees, values in errors.items():
                truth_m = turned(valid_m, degrees, smooth=False)
                depth_m = estimator(turned(frame.image, degrees, smooth=True))
                known = truth_m > 0
                values.append(float(np.mean(np.abs(depth_m[known] / truth_m[known] - 1))))
        spec = estimator.spec
    rows = [{"roll_deg": degrees, "abs_rel": float(np.mean(values))} for degrees, values in errors.items()]
    for row in rows:
        print(f"{row['roll_deg']:3d} degrees: AbsRel {row['abs_rel']:.3f}")
    if json:
        content = {
            "schema": "lightdepth.rolled/1",
            "lightdepth_version": __version__,
            "model": spec.name,
            "checkpoint_sha256": spec.checkpoint_sha256,
            "data": {"name": pairs.name, "packaging": pairs.packaging, "split": pairs.split, "pairs": len(pairs)},
            "protocol": rules.to_dict(),
            "rows": rows,
        }
        write_json(json, content)


if __name__ == "__main__":
    typer.run(main)
