"""ROS images and recordings, without ROS: messages to arrays and back, ROS 1 and ROS 2 recordings in, ROS 2 out."""

from .handler import DepthHandler
from .message import DepthEncoding, DepthImage, decode_color, decode_depth, encode_depth, stamp_ns
from .recorder import DepthRecorder, record_depth
from .recording import ImageMessage, Recording, is_recording
from .sink import RecordingSink
from .source import RecordedFrame, RecordingSource

__all__ = [
    "DepthEncoding",
    "DepthHandler",
    "DepthImage",
    "DepthRecorder",
    "ImageMessage",
    "RecordedFrame",
    "Recording",
    "RecordingSink",
    "RecordingSource",
    "decode_color",
    "decode_depth",
    "encode_depth",
    "is_recording",
    "record_depth",
    "stamp_ns",
]
