"""Options and arguments of the commands, declared once: a command names one as the type of a parameter.

Help texts say what the option is and what its default does; the panels group them in `--help`. Nothing heavy is
imported here, not even NumPy: a help page should come at once. So names of kinds and protocols stand in the texts as
words, which a test holds to what there is.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .parsers import device_parser, parse_kinds, parse_known_distance, parse_max_sigma, parse_range, parse_unit

# Panels of the help pages.
DATA, MODEL, OUTPUT, CAMERA, SCORING, TIMING = "Data", "Model and device", "Output", "Camera", "Scoring", "Timing"

DEVICES = ("auto", "cpu", "cuda", "tensorrt", "openvino")


def option(panel: str, *names: str, **keys: Any) -> Any:  # Any: what `typer.Option` takes and returns
    """Declare an option in a panel of the help page."""
    return typer.Option(*names, rich_help_panel=panel, **keys)


def device_option(*names: str, help: str) -> Any:
    """Declare the option of a device: one of the names, or cuda:N."""
    return option(MODEL, parser=device_parser(*names), metavar="DEVICE", help=help)


def output_option(metavar: str, help: str) -> Any:
    """Declare where a command writes to."""
    return option(OUTPUT, "--output", "-o", metavar=metavar, help=help)


MODEL_HELP = "A model: a file, a training run's folder (its best checkpoint), or a shipped one's name: lite0, resnet18."
Model = Annotated[str | None, typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Default: lite0.")]
Models = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Ratios compare with the first. Default: lite0."),
]
ModelOption = Annotated[str | None, option(MODEL, metavar="MODEL", help=f"{MODEL_HELP} Default: lite0.")]
Device = Annotated[
    str,
    device_option(
        *DEVICES,
        help="Where the model runs: auto, cpu, cuda, cuda:N, tensorrt or openvino. auto takes an NVIDIA GPU if there "
        "is one.",
    ),
]
AnyDevice = Annotated[  # of several models, some of which only run on a processor or with CUDA
    str, device_option("auto", "cpu", "cuda", help="Where models run: auto, cpu, cuda or cuda:N.")
]
BenchDevices = Annotated[
    list[str],
    device_option(
        *DEVICES,
        help="Where models run: auto, cpu, cuda, cuda:N, tensorrt or openvino. Repeatable: each model gets a row per "
        "device.",
    ),
]
Threads = Annotated[
    int | None,
    option(
        MODEL,
        min=1,
        metavar="N",
        help="CPU threads. Default: the backend decides; one per usable core where models are timed.",
    ),
]
Workers = Annotated[
    int | None,
    option(
        DATA,
        min=1,
        metavar="N",
        help="Processes that read and score. Default: one per usable core, and none but this one for under 32 items.",
    ),
]

Inputs = Annotated[
    list[str],
    typer.Argument(
        metavar="INPUT",
        help="Images, folders of images, videos, ROS recordings, cameras (camera:0), network streams (rtsp://...).",
    ),
]
Data = Annotated[Path, option(DATA, metavar="DIR|LIST", help="RGB-D pairs: a folder or a pair list.")]
CalibrationData = Annotated[
    Path | None,
    option(
        DATA, metavar="DIR|LIST", help="RGB-D pairs to calibrate on: a folder or a pair list. Default: none, only --at."
    ),
]
DepthScale = Annotated[
    Any,  # Any: a DepthUnit, by the parser
    option(
        DATA,
        parser=parse_unit,
        metavar="UNITS",
        help="Units of stored depth per metre, as a number or a name: millimetres, centimetres, metres, tum, kitti, "
        "realsense-l515, realsense-sr300, realsense-d405, sunrgbd, densedepth. Default: what the data says of itself, "
        "else millimetres, or metres for floats.",
    ),
]
Split = Annotated[str, option(DATA, metavar="NAME", help="Which split of the folder to use: train or test.")]
Topic = Annotated[
    str | None, option(DATA, metavar="TOPIC", help="Image topic to read from a ROS recording. Default: its only one.")
]
Frames = Annotated[
    int | None, option(DATA, min=1, metavar="N", help="Stop each video or camera after N frames. Default: all.")
]
Image = Annotated[
    Path | None, option(DATA, metavar="IMAGE", help="Image to time on. Default: a generated one, 640x480.")
]
At = Annotated[
    list[Any] | None,  # Any: Typer takes no KnownDistance; the parser gives one
    option(
        DATA,
        parser=parse_known_distance,
        metavar="IMAGE,x,y,METRES",
        help="A pixel of an image and its distance along the camera's axis. Repeatable. Default: none, only --data.",
    ),
]

Live = Annotated[
    str | None,
    option(
        DATA,
        metavar="CAMERA",
        help="Measure with a camera (camera:0, rtsp://...): aim it, type distances. Default: no camera.",
    ),
]

FocalPx = Annotated[
    float | None,
    option(
        CAMERA, metavar="PIXELS", help="Focal length in pixels; depth is scaled to it. Default: depth is not scaled."
    ),
]
ExifFocal = Annotated[
    bool,
    option(
        CAMERA,
        "--exif-focal/--no-exif-focal",
        help="Take a photograph's focal length from its EXIF where neither --focal-px nor --fov is given.",
    ),
]
Fov = Annotated[
    float | None,
    option(
        CAMERA, metavar="DEGREES", help="Horizontal field of view in degrees, instead of --focal-px. Default: none."
    ),
]

CameraHeight = Annotated[
    float | None,
    option(
        CAMERA,
        metavar="METRES",
        help="Height of the camera over the floor: the nearest obstacle of each direction is drawn into pictures and "
        "videos, and recordings get a laser scan. Default: unknown.",
    ),
]
FromFloor = Annotated[
    bool,
    option(
        CAMERA,
        "--scale-from-floor",
        help="Correct depth so that the floor lies --camera-height under the camera. Default: off.",
    ),
]
Tilt = Annotated[float, option(CAMERA, metavar="DEGREES", help="How far the camera looks down, with --camera-height.")]
Roll = Annotated[
    float, option(CAMERA, metavar="DEGREES", help="How much lower the camera's right side hangs, with --camera-height.")
]

Output = Annotated[
    Path | None,
    output_option("DIR", "Folder for the results. Default: output/COMMAND-N, with the next free number N."),
]
OutputFile = Annotated[
    Path | None,
    output_option(
        "FILE", "File to write. Default: NAME-calibrated beside MODEL; in the current folder for the shipped model."
    ),
]
Save = Annotated[
    Any,  # Any: Typer takes no frozenset; the parser gives one
    option(
        OUTPUT,
        parser=parse_kinds,
        metavar="KIND,...",
        help="Outputs, comma-separated: png, png16, npy, ply, sigma, mp4, rrd, bag, bag16, scan. Default: "
        "png,png16,npy for images, mp4 for videos, bag for ROS recordings.",
    ),
]
Colors = Annotated[
    Literal["plasma", "viridis", "magma", "inferno", "turbo", "gray"],
    option(OUTPUT, metavar="NAME", help="Colour map of pictures: plasma, viridis, magma, inferno, turbo or gray."),
]
Range = Annotated[
    Any,  # Any: Typer takes no DepthRange; the parser gives one
    option(
        OUTPUT,
        "--range",
        parser=parse_range,
        metavar="NEAR,FAR",
        help="Depth range in metres mapped to the colour map, e.g. 0.5,8. Default: chosen per image.",
    ),
]
MaxSigma = Annotated[
    float | None,
    option(
        OUTPUT,
        parser=parse_max_sigma,
        metavar="SIGMA",
        help="Leave pixels whose sigma is larger out of points and recordings; 0.4 is depth about 40 % off, inf keeps "
        "all. Default: 0.4 for models with sigma.",
    ),
]
Steady = Annotated[
    bool,
    option(
        OUTPUT,
        "--steady",
        help="Smooth depth of videos, cameras and recordings over time, without delay. Default: off.",
    ),
]
View = Annotated[bool, option(OUTPUT, "--view", help="Show videos and cameras in the Rerun viewer. Default: off.")]
Json = Annotated[Path | None, option(OUTPUT, metavar="FILE", help="Write the result as JSON. Default: not written.")]
Force = Annotated[bool, option(OUTPUT, "--force", help="Write the model even if it got worse. Default: off.")]
Wide = Annotated[bool, option(OUTPUT, "--wide", help="Show every column. Default: those that fit 80 characters.")]

Rounds = Annotated[int, option(TIMING, min=1, metavar="N", help="Rounds; in each every model gets its turn.")]
Memory = Annotated[
    bool,
    option(
        TIMING,
        "--memory/--no-memory",
        help="Measure peak memory, cold start and a matrix product in separate processes.",
    ),
]
Debug = Annotated[
    bool, typer.Option("--debug", help="Show the traceback of an error. Accepted anywhere in the line. Default: off.")
]
