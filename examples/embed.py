"""Depth of one image in three lines: python embed.py IMAGE."""

import sys

from lightdepth_runtime import DepthEstimator, read_image

if len(sys.argv) != 2:
    sys.exit(__doc__)
estimator = DepthEstimator.load()  # the shipped model; or a path to your own
depth_m = estimator(read_image(sys.argv[1]))  # uint8 RGB (H, W, 3) -> float32 (H, W) metres
print(f"{depth_m.shape[1]}x{depth_m.shape[0]} pixels, {depth_m.min():.2f} to {depth_m.max():.2f} m")
