"""Small ROS recordings of one's own messages, each odd in one way."""

import numpy as np
from rosbags.rosbag1 import Writer as Ros1Writer
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Ros2Writer
from rosbags.typesys import Stores, get_typestore

ROS1, ROS2 = get_typestore(Stores.ROS1_NOETIC), get_typestore(Stores.ROS2_HUMBLE)
IMAGE, COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
INFO, FLOAT = "sensor_msgs/msg/CameraInfo", "std_msgs/msg/Float32"
COLOR_TOPIC, DEPTH_TOPIC = "/camera/color/image_raw", "/camera/aligned_depth_to_color/image_raw"
INFO_TOPIC = "/camera/color/camera_info"
START_NS, STEP_NS = 1_700_000_000_000_000_000, 100_000_000
FX = 130.0


def header(stamp_ns, store=ROS2):
    time = store.types["builtin_interfaces/msg/Time"](sec=stamp_ns // 10**9, nanosec=stamp_ns % 10**9)
    sequence = (0,) if store is ROS1 else ()
    return store.types["std_msgs/msg/Header"](*sequence, time, "camera")


def image(stamp_ns, pixels, encoding, store=ROS2):
    values = np.ascontiguousarray(pixels)
    step = values.nbytes // len(values)
    data = values.reshape(-1).view(np.uint8)
    return store.types[IMAGE](header(stamp_ns, store), *values.shape[:2], encoding, 0, step, data)


def compressed(stamp_ns, content, kind, store=ROS2):
    return store.types[COMPRESSED](header(stamp_ns, store), kind, np.frombuffer(content, np.uint8))


def info(stamp_ns=START_NS, fx=FX, size=(160, 120), *, p_fx=None, roi=(0, 0, 0, 0), binning=0, store=ROS2):
    """A CameraInfo with its centre in the middle; roi is left, top, width, height."""
    width, height = size
    cx, cy, p_fx = (width - 1) / 2, (height - 1) / 2, fx if p_fx is None else p_fx
    k = np.array([fx, 0, cx, 0, fx, cy, 0, 0, 1.0 if fx else 0.0]) * bool(fx)
    p = np.array([p_fx, 0, cx, 0, 0, p_fx, cy, 0, 0, 0, 1, 0.0])
    left, top, roi_width, roi_height = roi
    window = store.types["sensor_msgs/msg/RegionOfInterest"](left, top, roi_height, roi_width, False)
    matrices = np.zeros(5), k, np.eye(3).ravel(), p
    return store.types[INFO](header(stamp_ns, store), height, width, "plumb_bob", *matrices, binning, binning, window)


def write_messages(path, messages, store=ROS2):
    """Write (topic, type, time of recording, message): a folder of ROS 2, or a .bag file of ROS 1."""
    is_ros1 = store is ROS1
    writer = Ros1Writer(path) if is_ros1 else Ros2Writer(path, version=8, storage_plugin=StoragePlugin.MCAP)
    serialize = store.serialize_ros1 if is_ros1 else store.serialize_cdr
    with writer:
        connections = {}
        for topic, kind, received_ns, message in messages:
            if topic not in connections:
                connections[topic] = writer.add_connection(topic, kind, typestore=store)
            writer.write(connections[topic], received_ns, serialize(message, kind))
    return path


def camera_messages(frames, *, stamps_ns=None, infos=None, topic=COLOR_TOPIC, depth=None):
    """Messages of a camera: colour as rgb8, a CameraInfo before each image where there is one, depth from a function.

    Args:
        frames: with `image` and `depth_m`.
        stamps_ns: of the headers, one a frame; the time of recording by default.
        infos: a CameraInfo or None for each frame.
        topic: of colour.
        depth: makes a depth message of a stamp and metres.
    """
    messages = []
    for number, frame in enumerate(frames):
        received_ns = START_NS + number * STEP_NS
        stamp_ns = received_ns if stamps_ns is None else stamps_ns[number]
        if infos is not None and infos[number] is not None:
            messages.append((f"{topic.rsplit('/', 1)[0]}/camera_info", INFO, received_ns, infos[number]))
        messages.append((topic, IMAGE, received_ns, image(stamp_ns, frame.image, "rgb8")))
        if depth is not None:
            made = depth(stamp_ns, frame.depth_m)
            kind = COMPRESSED if hasattr(made, "format") else IMAGE
            messages.append((DEPTH_TOPIC, kind, received_ns, made))
    return messages
