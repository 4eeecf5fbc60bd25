"""Depth of a camera's newest frame in a loop, with the frame rate and the distance in the picture's middle.

python camera_loop.py [camera:0 | rtsp://... | clip.mp4] [--model MODEL] [--frames N]
"""

import argparse
import contextlib
import math
import time

import numpy as np

from lightdepth_runtime import Camera, DepthEstimator, LightDepthError, open_stream, plan_streams

MIDDLE_SHARE = 0.1  # of the picture's sides
PRINT_INTERVAL_S = 1.0


def middle_m(depth_m: np.ndarray) -> float:
    """Return the median depth of the picture's middle, in metres."""
    height, width = depth_m.shape
    half_y, half_x = max(1, int(height * MIDDLE_SHARE / 2)), max(1, int(width * MIDDLE_SHARE / 2))
    rows, columns = slice(height // 2 - half_y, height // 2 + half_y), slice(width // 2 - half_x, width // 2 + half_x)
    return float(np.median(depth_m[rows, columns]))


def main() -> None:
    """Run until the video ends, the camera is gone or Ctrl-C."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("source", nargs="?", default="camera:0")
    parser.add_argument("--model", help="a model file; the shipped model by default")
    parser.add_argument("--frames", type=int, help="stop after N frames")
    arguments = parser.parse_args()

    [job] = plan_streams([arguments.source])
    with DepthEstimator.load(arguments.model) as estimator, open_stream(job) as source:
        estimator.warm_up()
        start, last = time.monotonic(), -math.inf
        for count, frame in enumerate(source, 1):
            depth_m = estimator(frame.image)
            now = time.monotonic()
            if now - last >= PRINT_INTERVAL_S or count == arguments.frames:
                dropped = f", {source.dropped} dropped" if isinstance(source, Camera) else ""
                print(f"{frame.name}: {middle_m(depth_m):.2f} m ahead, {count / (now - start):.1f} fps{dropped}")
                last = now
            if count == arguments.frames:
                break


if __name__ == "__main__":
    try:
        with contextlib.suppress(KeyboardInterrupt):
            main()
    except LightDepthError as error:  # no camera, or one that is gone: a sentence and exit code 1
        raise SystemExit(f"Error: {error}") from None
