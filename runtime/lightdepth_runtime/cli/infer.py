"""The `infer` command: depth of images, videos, cameras and recordings."""

import sys
from typing import Any

import typer

from .options import (
    CameraHeight,
    Colors,
    Device,
    ExifFocal,
    FocalPx,
    Fov,
    Frames,
    FromFloor,
    Inputs,
    MaxSigma,
    ModelOption,
    Output,
    Range,
    Roll,
    Save,
    Steady,
    Threads,
    Tilt,
    Topic,
    View,
)

__all__ = ["infer_command"]


def infer_command(
    inputs: Inputs,
    model: ModelOption = None,
    device: Device = "auto",
    threads: Threads = None,
    output: Output = None,
    save: Save = None,
    colormap: Colors = "plasma",
    scale: Range = None,
    max_sigma: MaxSigma = None,
    steady: Steady = False,
    view: View = False,
    focal_px: FocalPx = None,
    fov: Fov = None,
    exif_focal: ExifFocal = True,
    camera_height: CameraHeight = None,
    tilt: Tilt = 0.0,
    roll: Roll = 0.0,
    scale_from_floor: FromFloor = False,
    frames: Frames = None,
    topic: Topic = None,
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
            outcome = run_plan(estimator, plan, **kinds, most_frames=frames, view=view, say=_warn)
        print(f"Wrote {outcome.files} file{'s' * (outcome.files != 1)} to {folder}")


def _warn(text: str) -> None:
    print(text, file=sys.stderr)
