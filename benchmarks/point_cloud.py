"""Compare the point cloud of predicted depth with that of the sensor's, on TUM RGB-D frames, in metres and to look at.

    python benchmarks/point_cloud.py MODEL LIST [--frames 8] [--json FILE] [--figure FILE.png]

LIST is a pair list (`lightdepth/demo_data/test.txt`). For every point of the prediction the nearest point of the sensor
is sought and the other way round. Predictions count where the sensor measured, so holes of the sensor don't.
"""

import argparse
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from scipy.spatial import KDTree

from lightdepth_runtime import DepthEstimator, __version__
from lightdepth_runtime.atomic import atomic_path, write_json
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.pair import Pair
from lightdepth_runtime.sinks.points import PointCloud, points_of
from lightdepth_runtime.spec import Intrinsics

mpl.use("Agg")
from matplotlib import pyplot as plt

# The ROS default that the benchmark recommends for all its sequences, 640x480:
# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats
TUM_CAMERA = Intrinsics(525.0, 525.0, 319.5, 239.5, 640, 480)
FARTHEST_M = 10.0
POINTS_DRAWN = 12_000

Clouds = tuple[np.ndarray, PointCloud, PointCloud]  # photograph, sensor, prediction


def compare(estimator: DepthEstimator, pair: Pair, *, focal: bool) -> tuple[dict[str, Any], Clouds]:
    """Return a frame's distances in metres and both clouds."""
    sample = pair.read()
    height, width = sample.image.shape[:2]
    camera = TUM_CAMERA.scaled_to(width, height)
    predicted_m = estimator(sample.image, focal_px=camera.fx if focal else None)
    truth_m = sample.depth_m
    if truth_m.shape != predicted_m.shape:
        predicted_m = resize_depth(predicted_m, *truth_m.shape)
    known = np.isfinite(truth_m) & (truth_m > 0) & (truth_m < FARTHEST_M)
    truth = points_of(np.where(known, truth_m, 0).astype(np.float32), sample.image, camera)
    seen_m = np.where(known, predicted_m, 0).astype(np.float32)
    predicted = points_of(seen_m, sample.image, camera)
    # One common scale: what is left then is the error of shape.
    factor = np.float32(np.median(truth_m[known]) / np.median(predicted_m[known]))
    aligned = points_of(seen_m * factor, sample.image, camera)
    to_truth, _ = KDTree(truth.points_m).query(predicted.points_m)
    to_predicted, _ = KDTree(predicted.points_m).query(truth.points_m)
    aligned_to_truth, _ = KDTree(truth.points_m).query(aligned.points_m)
    return {
        "image": pair.name,
        "points": len(truth.points_m),
        "median_prediction_to_truth_m": float(np.median(to_truth)),
        "median_truth_to_prediction_m": float(np.median(to_predicted)),
        "median_aligned_prediction_to_truth_m": float(np.median(aligned_to_truth)),
        "scale_to_truth": float(factor),
        "median_depth_m": float(np.median(truth_m[known])),
    }, (sample.image, truth, predicted)


def draw(clouds: Clouds, distances: dict[str, Any], path: Path) -> None:
    """Draw the photograph and both clouds, from obliquely above and from above."""
    image, truth, predicted = clouds
    figure = plt.figure(figsize=(15, 9), layout="constrained")
    photo = figure.add_subplot(2, 3, 1)
    photo.imshow(image)
    photo.set_title(distances["image"])
    photo.axis("off")
    limits = [
        np.percentile(np.concatenate([truth.points_m, predicted.points_m])[:, axis], (0.5, 99.5)) for axis in (0, 1, 2)
    ]
    for column, (name, cloud) in enumerate((("sensor", truth), ("prediction", predicted)), 2):
        view = figure.add_subplot(2, 3, column, projection="3d")
        chosen = np.random.default_rng(0).permutation(len(cloud.points_m))[:POINTS_DRAWN]
        x, y, z = cloud.points_m[chosen].T
        view.scatter(x, z, -y, c=cloud.colors[chosen] / 255, s=2, linewidths=0)
        view.set(xlim=limits[0], ylim=limits[2], zlim=-limits[1][::-1], xlabel="x m", ylabel="forward m", zlabel="up m")
        view.set_box_aspect([float(np.ptp(limits[axis])) for axis in (0, 2, 1)])
        view.view_init(elev=25, azim=-65)
        view.set_title(f"{name}, from the side")
    for column, (name, cloud) in enumerate((("sensor", truth), ("prediction", predicted)), 5):
        view = figure.add_subplot(2, 3, column)
        chosen = np.random.default_rng(0).permutation(len(cloud.points_m))[:POINTS_DRAWN]
        view.scatter(*cloud.points_m[chosen][:, [0, 2]].T, c=cloud.colors[chosen] / 255, s=2, linewidths=0)
        view.set(xlim=limits[0], ylim=(0, limits[2][1]), xlabel="x m", ylabel="forward m", aspect="equal")
        view.set_title(f"{name}, from above")
    text = figure.add_subplot(2, 3, 4)
    text.axis("off")
    text.text(
        0,
        0.5,
        "Median distance to the nearest point\n"
        f"prediction to sensor  {distances['median_prediction_to_truth_m']:.3f} m\n"
        f"sensor to prediction  {distances['median_truth_to_prediction_m']:.3f} m\n"
        f"with one common scale  {distances['median_aligned_prediction_to_truth_m']:.3f} m\n"
        f"median depth  {distances['median_depth_m']:.2f} m",
        va="center",
        fontsize=12,
    )
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=80)


def main() -> None:
    """Compare the frames, print each, write the JSON and the picture of the middling one."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("list", type=Path)
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--figure", type=Path)
    arguments = parser.parse_args()
    pairs = load_pairs(arguments.list, "test").pairs[: arguments.frames]
    with DepthEstimator.load(arguments.model, threads=arguments.threads) as estimator:
        focal = estimator.spec.intrinsics is not None
        results = [compare(estimator, pair, focal=focal) for pair in pairs]
        name = estimator.spec.name
    for distances, _ in results:
        print(
            f"{distances['image']}: {distances['median_prediction_to_truth_m']:.3f} m to the sensor's points, "
            f"{distances['median_aligned_prediction_to_truth_m']:.3f} m with one common scale"
        )
    results.sort(key=lambda result: result[0]["median_prediction_to_truth_m"])
    middling = results[len(results) // 2]
    if arguments.json:
        content = {
            "schema": "lightdepth.point_cloud/1",
            "lightdepth_version": __version__,
            "model": name,
            "data": str(arguments.list),
            "camera": {"fx": TUM_CAMERA.fx, "fy": TUM_CAMERA.fy, "cx": TUM_CAMERA.cx, "cy": TUM_CAMERA.cy},
            "focal_corrected": focal,
            "median_prediction_to_truth_m": middling[0]["median_prediction_to_truth_m"],
            "frames": [distances for distances, _ in results],
        }
        write_json(arguments.json, content)
    if arguments.figure:
        draw(middling[1], middling[0], arguments.figure)


if __name__ == "__main__":
    main()
