"""The node `lightdepth`: images in, depth, points, a scan and confidence out.

    ros2 run lightdepth_ros lightdepth --ros-args -r image:=/camera/image_rect -r camera_info:=/camera/camera_info

Subscribes `image` (or `image/compressed`), `camera_info`, `known_points` (PointCloud2 in the camera's optical frame)
and `range` (a range finder beside the camera). Publishes `depth/image_rect`, `depth/camera_info`, `points`, `scan`,
`confidence`, and the scan's level frame as a static transform.
"""

from __future__ import annotations

import array
import sys
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion, Transform, TransformStamped, Vector3
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy, qos_profile_sensor_data
from sensor_msgs.msg import (
    CameraInfo,
    CompressedImage,
    Image,
    LaserScan,
    PointCloud2,
    PointField,
    Range,
    RegionOfInterest,
)
from std_msgs.msg import Header
from tf2_ros import StaticTransformBroadcaster

from lightdepth_runtime import DepthEstimator, LightDepthError
from lightdepth_runtime.ros import MessageBuilder, RobotAnswer

from .parameters import Parameters

__all__ = ["LightDepthNode", "main"]

QUIET_S = 5.0  # between two warnings of one kind
# The newest image alone: depth of an old one is of no use to a robot that moves.
NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
TYPES = {
    "builtin_interfaces/msg/Time": Time,
    "geometry_msgs/msg/Quaternion": Quaternion,
    "geometry_msgs/msg/Transform": Transform,
    "geometry_msgs/msg/TransformStamped": TransformStamped,
    "geometry_msgs/msg/Vector3": Vector3,
    "sensor_msgs/msg/CameraInfo": CameraInfo,
    "sensor_msgs/msg/Image": Image,
    "sensor_msgs/msg/LaserScan": LaserScan,
    "sensor_msgs/msg/PointCloud2": PointCloud2,
    "sensor_msgs/msg/PointField": PointField,
    "sensor_msgs/msg/RegionOfInterest": RegionOfInterest,
    "std_msgs/msg/Header": Header,
}


class LightDepthNode(Node):
    """Wire topics to a DepthHandler; a message that can't be used is a warning, never an end."""

    def __init__(self) -> None:
        super().__init__("lightdepth")
        self.parameters = Parameters.declare(self.declare_parameter)
        # An array.array is what rclpy takes without looking at every byte.
        self._build = MessageBuilder(TYPES, lambda code, values: array.array(code, values.tobytes()))
        self._broadcaster = StaticTransformBroadcaster(self)
        self._placed: set[str] = set()
        self._depth = self.create_publisher(Image, "depth/image_rect", qos_profile_sensor_data)
        self._info = self.create_publisher(CameraInfo, "depth/camera_info", qos_profile_sensor_data)
        self._points = self.create_publisher(PointCloud2, "points", qos_profile_sensor_data)
        self._scan = self.create_publisher(LaserScan, "scan", qos_profile_sensor_data)
        self._confidence = self.create_publisher(Image, "confidence", qos_profile_sensor_data)

    def start(self, estimator: DepthEstimator) -> None:
        """Subscribe once the model is ready.

        Raises:
            LightDepthError: a parameter's value that is impossible.
        """
        self._handler = self.parameters.handler(estimator, self.resolve_topic_name("image"))
        transport = self.parameters.values["image_transport"]
        if transport not in ("raw", "compressed"):
            raise LightDepthError(f"image_transport is raw or compressed, got {transport!r}.")
        if transport == "raw":
            self.create_subscription(Image, "image", self.answer, NEWEST)
        else:
            self.create_subscription(CompressedImage, "image/compressed", self.answer, NEWEST)
        for kind, topic, take in (
            (CameraInfo, "camera_info", self._handler.camera_info),
            (PointCloud2, "known_points", self._handler.points),
            (Range, "range", self._handler.range),
        ):
            self.create_subscription(kind, topic, self._guarded(take), NEWEST)

    def answer(self, message: Any) -> None:  # Any: an Image or a CompressedImage
        """Publish what follows from an image."""
        try:
            answer = self._handler(message)
        except LightDepthError as error:  # the next frame may be good
            self._warn(str(error))
            return
        if self._handler.note:
            self._warn(self._handler.note)
        self._publish(answer)

    def _publish(self, answer: RobotAnswer) -> None:
        stamp = (answer.stamp_ns, answer.frame_id)
        if answer.camera is not None:
            self._info.publish(self._build.camera_info(answer.camera, *stamp))
        self._depth.publish(self._build.image(answer.depth))
        if answer.cloud is not None:
            self._points.publish(self._build.cloud(answer.cloud, *stamp))
        if answer.confidence is not None:
            self._confidence.publish(self._build.image(answer.confidence))
        if answer.scan is not None and answer.level is not None:
            if answer.frame_id not in self._placed:
                self._placed.add(answer.frame_id)
                self._broadcaster.sendTransform(
                    self._build.level_transform(answer.level.mount, *stamp, answer.level.frame_id)
                )
            self._scan.publish(self._build.scan(answer.scan, answer.stamp_ns, answer.level.frame_id))

    def _guarded(self, take: Any) -> Any:  # Any: a callback of one message
        def guarded(message: Any) -> None:
            try:
                take(message)
            except LightDepthError as error:
                self._warn(str(error))

        return guarded

    def _warn(self, text: str) -> None:
        self.get_logger().warning(text, throttle_duration_sec=QUIET_S)


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted; a wrong model or parameter is one sentence and exit code 1."""
    rclpy.init(args=args)
    node = LightDepthNode()
    try:
        with node.parameters.estimator() as estimator:
            estimator.warm_up()
            node.start(estimator)
            rclpy.spin(node)
    except (KeyboardInterrupt, ExternalShutdownException):
        pass
    except LightDepthError as error:
        node.get_logger().fatal(str(error))
        sys.exit(1)
    finally:
        node.destroy_node()
        rclpy.try_shutdown()


if __name__ == "__main__":
    main()
