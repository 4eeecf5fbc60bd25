"""Does `focal_px` correct the metric scale? Real images against their own centre enlarged 1.5 times.

Usage: python benchmarks/focal_correction.py MODEL --data DIR|LIST --focal-px 518.86 [--most 20] [--json FILE]

The crop's enlargement is what a camera of 1.5 times the focal length sees from the same place, so its depth is that of
the uncropped image there. Reported: the median ratio of the enlarged image's depth to the uncropped one's, without and
with `focal_px`, and for how many images `focal_px` brings it nearer to 1. Where MODEL doesn't know the camera that it
was trained with, the data's (`--focal-px`, square pixels) takes its place.
"""

from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer
from numpy.typing import NDArray

from lightdepth_runtime import DepthEstimator, Intrinsics
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.progress import track

ZOOM = 1.5


def main(
    model: Path,
    data: Annotated[Path, typer.Option(help="Images; their depth is not used.")],
    focal_px: Annotated[float, typer.Option(help="The data's camera, in pixels of its images.")],
    split: Annotated[str, typer.Option()] = "test",
    most: Annotated[int | None, typer.Option(min=1, help="Of the images, evenly spread; all by default.")] = None,
    threads: Annotated[int | None, typer.Option(min=1)] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print the ratios; write the JSON where asked."""
    pairs = load_pairs(data, split)
    pairs = pairs.spread(most) if most else pairs
    with DepthEstimator.load(model, "cpu", threads) as estimator:
        spec = estimator.spec
        known = spec.intrinsics is not None
        if not known:
            height, width = pairs.pairs[0].read().image.shape[:2]
            camera = Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
            estimator.backend.spec = spec.with_changes(intrinsics=camera)
        ratios = np.array(
            [measure(estimator, p.read().image, focal_px) for p in track(pairs.pairs, "Zooming", len(pairs))]
        )
    without, corrected = np.median(ratios, axis=0)  # (images, 2) -> (2,)
    distance = np.abs(np.log(ratios))
    result: dict[str, Any] = {
        "schema": "lightdepth.focal-correction/1",
        "model": spec.name,
        "input_height": spec.input_height,
        "input_width": spec.input_width,
        "training_camera": "the model's" if known else "the data's",
        "data": {"name": pairs.name, "packaging": pairs.packaging, "split": pairs.split},
        "focal_px": focal_px,
        "zoom": ZOOM,
        "samples": len(ratios),
        "median_ratio_without": float(without),
        "median_ratio_with": float(corrected),
        "mean_abs_log_ratio_without": float(distance[:, 0].mean()),
        "mean_abs_log_ratio_with": float(distance[:, 1].mean()),
        "nearer_with": float((distance[:, 1] < distance[:, 0]).mean()),
    }
    print(
        f"{spec.name}, {len(ratios)} images enlarged {ZOOM} times: depth over the uncropped image's is {without:.3f} "
        f"without focal_px and {corrected:.3f} with it (median); nearer to 1 with it in {result['nearer_with']:.0%}"
    )
    if json:
        write_json(json, result)


def measure(estimator: DepthEstimator, image: NDArray[np.uint8], focal_px: float) -> tuple[float, float]:
    """Return the enlarged centre's depth over the uncropped image's there (median), without and with focal_px."""
    height, width = image.shape[:2]
    rows, columns = round(height / ZOOM), round(width / ZOOM)
    top, left = (height - rows) // 2, (width - columns) // 2
    window = slice(top, top + rows), slice(left, left + columns)
    enlarged = np.asarray(cv2.resize(image[window], (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)

    def ratio(whole_focal_px: float | None, enlarged_focal_px: float | None) -> float:
        whole_m = estimator(image, focal_px=whole_focal_px)[window]  # (rows, columns)
        enlarged_m = resize_depth(estimator(enlarged, focal_px=enlarged_focal_px), rows, columns)
        return float(np.median(enlarged_m / whole_m))

    return ratio(None, None), ratio(focal_px, focal_px * ZOOM)


if __name__ == "__main__":
    typer.run(main)
