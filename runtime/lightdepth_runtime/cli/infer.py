"""The `infer` command: depth of images, videos, cameras and recordings."""

import sys
from functools import partial
from typing import Any

import typer

from . import options

__all__ = ["infer_command"]


def infer_command(
    inputs: options.Inputs,
    model: options.ModelOption = None,
    device: options.Device = "auto",
    threads: options.Threads = None,
    output: options.Output = None,
    save: options.Save = None,
    colormap: options.Colors = "plasma",
    scale: options.Range = None,
    max_sigma: options.MaxSigma = None,
    steady: options.Steady = False,
    view: options.View = False,
    focal_px: options.FocalPx = None,
    fov: options.Fov = None,
    exif_focal: options.ExifFocal = True,
    camera_height: options.CameraHeight = None,
    tilt: options.Tilt = 0.0,
    roll: options.Roll = 0.0,
    scale_from_floor: options.FromFloor = False,
    frames: options.Frames = None,
    topic: options.Topic = None,
) -> None:
    """Estimate depth of images, videos, cameras and ROS recordings."""
    from ..atomic import result_folder
    from ..estimator import DepthEstimator
    from ..floor import CameraMount
    from ..infer.lens import Lens
    from ..infer.plan import plan_inputs, run_plan

    if camera_height is None and (tilt != 0 or roll != 0):
        raise typer.BadParameter("--tilt and --roll say how the camera of --camera-height stands; give that too.")
    mount = None if camera_height is None else CameraMount(camera_height, tilt, roll)
    with result_folder(output, "infer") as folder:
        plan = plan_inputs(inputs, folder, save, Lens(focal_px, fov, exif_focal), topic)
        with DepthEstimator.load(model, device, threads) as estimator:
            print(f"Model {estimator.describe()}; {plan.describe()}")
            print(f"Device {estimator.backend.device}, {estimator.device_reason}")
            kinds: dict[str, Any] = {"colormap": colormap, "scale": scale}  # Any: each its own type
            kinds |= {"max_sigma": max_sigma, "steady": steady, "mount": mount, "scale_from_floor": scale_from_floor}
            outcome = run_plan(
                estimator, plan, **kinds, most_frames=frames, view=view, say=partial(print, file=sys.stderr)
            )
        print(f"Wrote {outcome.files} file{'s' * (outcome.files != 1)} to {folder}")
