"""ROS images and recordings, without ROS: messages to arrays and back, ROS 1 and ROS 2 recordings in, ROS 2 out."""

from ..sensor_view import CameraMisfitError
from .answer import AnswerOptions, RobotAnswer, make_answer
from .handler import DepthHandler
from .image_camera import camera_of, is_calibrated, is_rectified
from .messages.build import MessageBuilder
from .messages.image import DepthEncoding, DepthImage, decode_color, decode_depth, encode_depth, stamp_ns
from .recorder import DepthRecorder, record_depth
from .recording import ImageMessage, Recording, is_recording
from .sink import RecordingSink
from .source import RecordedFrame, RecordingSource

__all__ = [
    "AnswerOptions",
    "CameraMisfitError",
    "DepthEncoding",
    "DepthHandler",
    "DepthImage",
    "DepthRecorder",
    "ImageMessage",
    "MessageBuilder",
    "RecordedFrame",
    "Recording",
    "RecordingSink",
    "RecordingSource",
    "RobotAnswer",
    "camera_of",
    "decode_color",
    "decode_depth",
    "encode_depth",
    "is_calibrated",
    "is_recording",
    "is_rectified",
    "make_answer",
    "record_depth",
    "stamp_ns",
]
