"""A ROS 2 node: colour images in, metric depth with the same stamps and frames out.

    source /opt/ros/jazzy/setup.bash
    pip install "./runtime[cpu]"          # from the root of this repository
    python ros2_node.py --ros-args -r image:=/camera/color/image_raw -r camera_info:=/camera/color/camera_info

Parameters: `model` (a file; the shipped model by default), `encoding` (32FC1 metres or 16UC1 millimetres). Publishes
`/lightdepth/depth`. What happens to a message is `lightdepth_runtime.ros.DepthHandler`, which needs no ROS.
"""

from __future__ import annotations

import array
from typing import Any

from lightdepth_runtime import DepthEstimator, DepthHandler, DepthImage, LightDepthError

DEPTH_TOPIC = "/lightdepth/depth"
NANOSECONDS = 1_000_000_000


def fill_image(message: Any, depth: DepthImage) -> Any:  # Any: sensor_msgs.msg.Image comes with ROS, not from an index
    """Fill a `sensor_msgs/Image`; an array.array is what rclpy takes without looking at every byte."""
    message.header.stamp.sec, message.header.stamp.nanosec = divmod(depth.stamp_ns, NANOSECONDS)
    message.header.frame_id = depth.frame_id
    message.height, message.width, message.step = depth.height, depth.width, depth.step
    message.encoding, message.is_bigendian = depth.encoding, 0
    message.data = array.array("B", depth.data.tobytes())
    return message


def main() -> None:
    """Run the node until it is interrupted."""
    import rclpy
    from rclpy.node import Node
    from rclpy.qos import qos_profile_sensor_data
    from sensor_msgs.msg import CameraInfo, Image

    rclpy.init()
    node = Node("lightdepth")
    model = node.declare_parameter("model", "").value
    encoding = node.declare_parameter("encoding", "32FC1").value
    with DepthEstimator.load(model or None) as estimator:
        estimator.warm_up()
        handler = DepthHandler(estimator, encoding)
        publisher = node.create_publisher(Image, DEPTH_TOPIC, qos_profile_sensor_data)

        def answer(message: Image) -> None:
            try:
                publisher.publish(fill_image(Image(), handler(message)))
            except LightDepthError as error:  # the next frame may be good: a node never stops over one message
                node.get_logger().warning(str(error), throttle_duration_sec=5.0)

        # Sensor data keeps the newest few images and drops the rest, so that a slow machine doesn't fall behind.
        node.create_subscription(CameraInfo, "camera_info", handler.camera_info, qos_profile_sensor_data)
        node.create_subscription(Image, "image", answer, qos_profile_sensor_data)
        try:
            rclpy.spin(node)
        except KeyboardInterrupt:
            pass
        finally:
            node.destroy_node()
            rclpy.try_shutdown()


if __name__ == "__main__":
    try:
        main()
    except LightDepthError as error:  # the model or a parameter is wrong: a sentence and exit code 1
        raise SystemExit(f"Error: {error}") from None
