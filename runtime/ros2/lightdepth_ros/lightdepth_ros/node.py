"""The node `lightdepth`: images in, depth, points, a scan and confidence out.

    ros2 run lightdepth_ros lightdepth --ros-args -r image:=/camera/image_rect -r camera_info:=/camera/camera_info

Subscribes `image` (or `image/compressed`), `camera_info`, `known_points` (PointCloud2 in the camera's optical frame)
and `range` (a range finder beside the camera). Publishes `depth/image_rect`, `depth/camera_info`, `points`, `scan`,
`confidence`, and the scan's level frame as a static transform.
"""

from __future__ import annotations

import array
import sys
from functools import partial
from importlib import import_module
from typing import Any

import rclpy
from rcl_interfaces.msg import ParameterDescriptor, SetParametersResult
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.qos import HistoryPolicy, QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, Range
from tf2_ros import StaticTransformBroadcaster

from lightdepth_runtime import DepthEstimator, LightDepthError
from lightdepth_runtime.ros import MessageBuilder, RobotAnswer
from lightdepth_runtime.ros.messages.build import TOPICS

from .parameters import Parameters

__all__ = ["LightDepthNode", "main"]

QUIET_S = 5.0  # between two warnings of one kind: rclpy counts them by their line of code
# REP 2003: subscribe as to sensors, publish reliably, which every subscriber can take (RViz asks for it).
# The newest image alone: depth of an old one is of no use to a robot that moves.
NEWEST = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=1, reliability=ReliabilityPolicy.BEST_EFFORT)
RELIABLE = QoSProfile(history=HistoryPolicy.KEEP_LAST, depth=5, reliability=ReliabilityPolicy.RELIABLE)


def message_type(name: str) -> Any:  # Any: a message's class
    """Return the class of a name like `sensor_msgs/msg/Image`."""
    package, kind = name.split("/msg/")
    return getattr(import_module(f"{package}.msg"), kind)


class LightDepthNode(Node):
    """Wire topics to a DepthHandler; a message that can't be used is a warning, never an end."""

    def __init__(self) -> None:
        super().__init__("lightdepth")
        # An array.array is what rclpy takes without looking at every byte.
        self._build = MessageBuilder(message_type, lambda code, values: array.array(code, values.tobytes()))
        self._broadcaster = StaticTransformBroadcaster(self)
        self._placed: set[str] = set()  # optical frames whose level frame was sent
        self._outputs = {
            topic: self.create_publisher(message_type(kind), topic, RELIABLE) for topic, kind in TOPICS.items()
        }
        self._camera: Any | None = None  # the last CameraInfo

    def read_parameters(self) -> Parameters:
        """Declare the parameters and return their values.

        Raises:
            LightDepthError: a value of the wrong type.
        """

        def declare(name: str, default: Any) -> Any:  # Any: a value of any type; rclpy's Parameter
            # `camera_height:=1` is a whole number to ROS.
            return self.declare_parameter(name, default, ParameterDescriptor(dynamic_typing=True))

        return Parameters.declare(declare)

    def start(self, estimator: DepthEstimator, parameters: Parameters) -> None:
        """Subscribe once the model is ready.

        Raises:
            LightDepthError: a parameter's value that is impossible.
        """
        self._estimator, self._parameters = estimator, parameters
        self._image_topic = self.resolve_topic_name("image")
        self._handler = parameters.handler(estimator, self._image_topic)
        transport = parameters.values["image_transport"]
        if transport not in ("raw", "compressed"):
            raise LightDepthError(f"image_transport is raw or compressed, got {transport!r}.")
        if transport == "raw":
            self.create_subscription(Image, "image", self.answer, NEWEST)
        else:  # below the remapped image, as image_transport does it: remapping `image` alone wouldn't reach it
            self.create_subscription(CompressedImage, f"{self._image_topic}/compressed", self.answer, NEWEST)
        self.create_subscription(CameraInfo, "camera_info", partial(self._take, "camera_info"), NEWEST)
        self.create_subscription(PointCloud2, "known_points", partial(self._take, "points"), NEWEST)
        self.create_subscription(Range, "range", partial(self._take, "range"), NEWEST)
        self.add_on_set_parameters_callback(self.change)

    def change(self, parameters: list[Any]) -> SetParametersResult:  # Any: rclpy's Parameter
        """Take parameters that are set while the node runs, all or none: a new handler answers from then on."""
        values = {parameter.name: parameter.value for parameter in parameters}
        try:
            changed = self._parameters.changed(values)
            if changed != self._parameters:
                handler = changed.handler(self._estimator, self._image_topic)
                if self._camera is not None:
                    handler.camera_info(self._camera)
                self._parameters, self._handler = changed, handler
                self._placed.clear()
        except LightDepthError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def answer(self, message: Any) -> None:  # Any: an Image or a CompressedImage
        """Publish what follows from an image, if anybody listens."""
        if not any(publisher.get_subscription_count() for publisher in self._outputs.values()):
            return
        try:
            answer = self._handler(message)
        except LightDepthError as error:  # the next frame may be good
            self.get_logger().warning(str(error), throttle_duration_sec=QUIET_S)
            return
        if self._handler.note:
            self.get_logger().warning(self._handler.note, throttle_duration_sec=QUIET_S)
        self._publish(answer)

    def _publish(self, answer: RobotAnswer) -> None:
        """Build and publish what somebody listens to, and once a camera where the scan's frame is."""
        level = answer.level
        if level is not None and answer.frame_id and answer.frame_id not in self._placed:
            self._placed.add(answer.frame_id)
            self._broadcaster.sendTransform(self._build.level_transform(level, answer.stamp_ns, answer.frame_id))
        for topic, build in self._build.parts(answer):
            if self._outputs[topic].get_subscription_count():
                self._outputs[topic].publish(build())

    def _take(self, method: str, message: Any) -> None:  # Any: a message of the topic's type
        """Give a message to the handler of the moment."""
        try:
            getattr(self._handler, method)(message)
        except LightDepthError as error:
            self.get_logger().warning(str(error), throttle_duration_sec=QUIET_S)
            return
        if method == "camera_info":
            self._camera = message


def main(args: list[str] | None = None) -> None:
    """Run the node until it is interrupted; a wrong model or parameter is one sentence and exit code 1."""
    rclpy.init(args=args)
    node = LightDepthNode()
    try:
        parameters = node.read_parameters()
        with parameters.estimator() as estimator:
            estimator.warm_up()
            node.start(estimator, parameters)
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
