"""Everything that is published of one frame: depth, its camera, points, a scan, confidence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from ..errors import LightDepthError
from ..floor import CameraMount
from ..frames.frame import DepthFrame
from ..obstacles import Obstacles, find_obstacles
from ..obstacles.obstacles import CLEARANCE_M
from ..sigma import MAX_SIGMA, check_max_sigma, confidence_of, without_unsure
from .messages.camera_info import CameraFields
from .messages.cloud import CloudFields, encode_cloud
from .messages.image import DepthEncoding, DepthImage, encode_depth

__all__ = ["LEVEL_FRAME", "AnswerOptions", "LevelFrame", "RobotAnswer", "make_answer"]

LEVEL_FRAME = "lightdepth_level"
BEAMS = 90  # over the field of view: under a degree each for most cameras
POINT_STRIDE = 4  # 160 x 120 points of 640 x 480, which a costmap sees no less in


@dataclass(frozen=True)
class AnswerOptions:
    """What is published, and how.

    Raises:
        LightDepthError: an encoding other than 32FC1 and 16UC1, a stride or beams under 1, a largest sigma that is not
            positive.
    """

    encoding: DepthEncoding = "32FC1"
    point_stride: int = POINT_STRIDE
    mount: CameraMount | None = None  # the scan needs it
    beams: int = BEAMS
    level_frame: str = LEVEL_FRAME
    max_sigma: float = MAX_SIGMA  # depth and points of more are dropped; of a model with sigma
    floor_margin_m: float | None = None  # as `find_obstacles` takes it
    clearance_m: float = CLEARANCE_M

    def __post_init__(self) -> None:
        if self.encoding not in get_args(DepthEncoding):  # a node's parameter is any text
            raise LightDepthError(f"Depth's encoding is {' or '.join(get_args(DepthEncoding))}, got {self.encoding!r}.")
        if self.point_stride < 1 or self.beams < 1:
            raise LightDepthError(
                f"The points' stride and the scan's beams are at least 1, got {self.point_stride} and {self.beams}."
            )
        check_max_sigma(self.max_sigma)


@dataclass(frozen=True)
class LevelFrame:
    """The scan's frame: at the camera, level, x ahead; and how the camera stands in it."""

    frame_id: str
    mount: CameraMount


@dataclass(frozen=True, eq=False)
class RobotAnswer:
    """What is published of one frame, with its stamp and frame id; None where something that it needs is unknown."""

    stamp_ns: int
    frame_id: str
    depth: DepthImage
    camera: CameraFields | None  # of depth: its size is the image's
    cloud: CloudFields | None  # needs the camera
    scan: Obstacles | None  # needs the camera and its mount; in the level frame
    level: LevelFrame | None  # the scan's
    confidence: DepthImage | None  # 32FC1, 0 to 1; of a model with sigma


def make_answer(done: DepthFrame, options: AnswerOptions, camera: CameraFields | None = None) -> RobotAnswer:
    """Make what is published of a frame with its depth.

    Args:
        done: its camera gives points and scan.
        options: what is published, and how.
        camera: the CameraInfo of depth, at its size.

    Raises:
        LightDepthError: sizes that differ.
    """
    frame, intrinsics, mount = done.frame, done.camera, options.mount
    sure_m = without_unsure(done.depth_m, done.sigma, options.max_sigma)
    cloud = scan = level = None
    if intrinsics is not None:
        cloud = encode_cloud(sure_m, frame.image, intrinsics, options.point_stride)
        if mount is not None:  # of all depth: what the model is unsure of may stand in the way all the same
            scan = find_obstacles(
                done.depth_m,
                intrinsics,
                mount,
                sectors=options.beams,
                floor_margin_m=options.floor_margin_m,
                clearance_m=options.clearance_m,
            )
            level = LevelFrame(options.level_frame, mount)
    depth = encode_depth(sure_m, frame.stamp_ns, frame.frame_id, options.encoding)
    confidence = None
    if done.sigma is not None:
        confidence = encode_depth(confidence_of(done.sigma), frame.stamp_ns, frame.frame_id)
    return RobotAnswer(frame.stamp_ns, frame.frame_id, depth, camera, cloud, scan, level, confidence)
