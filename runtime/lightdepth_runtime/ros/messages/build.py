"""Make ROS messages of any library: rclpy's on a robot, rosbags' for recordings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...floor import CameraMount
from .camera_info import CameraFields
from .cloud import FLOAT32, CloudFields
from .image import NANOSECONDS, DepthImage
from .scan import ScanFields

__all__ = ["MessageBuilder"]

# Any throughout: the classes are those of whichever library is there.


def _same(_: str, values: NDArray[Any]) -> Any:
    return values


class MessageBuilder:
    """Build messages from classes that take all their fields by keyword.

    Args:
        types: the classes by name, as `sensor_msgs/msg/Image`.
        array: turns an array into what the library wants in a field of open length, by `array.array`'s type code.
    """

    def __init__(self, types: Mapping[str, Any], array: Callable[[str, NDArray[Any]], Any] = _same) -> None:
        self._types, self._array = types, array

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Build a std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
        stamp = self._types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
        return self._types["std_msgs/msg/Header"](stamp=stamp, frame_id=frame_id)

    def image(self, image: DepthImage) -> Any:
        """Build a sensor_msgs/Image."""
        return self._types["sensor_msgs/msg/Image"](
            header=self.header(image.stamp_ns, image.frame_id),
            height=image.height,
            width=image.width,
            encoding=image.encoding,
            is_bigendian=0,
            step=image.step,
            data=self._array("B", image.data),
        )

    def camera_info(self, camera: CameraFields, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/CameraInfo."""
        names = ("x_offset", "y_offset", "height", "width", "do_rectify")
        roi = self._types["sensor_msgs/msg/RegionOfInterest"](**dict(zip(names, camera.roi, strict=True)))
        return self._types["sensor_msgs/msg/CameraInfo"](
            header=self.header(stamp_ns, frame_id),
            height=camera.height,
            width=camera.width,
            distortion_model=camera.distortion_model,
            d=self._array("d", camera.d),
            k=camera.k,
            r=camera.r,
            p=camera.p,
            binning_x=camera.binning_x,
            binning_y=camera.binning_y,
            roi=roi,
        )

    def cloud(self, cloud: CloudFields, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/PointCloud2."""
        field = self._types["sensor_msgs/msg/PointField"]
        return self._types["sensor_msgs/msg/PointCloud2"](
            header=self.header(stamp_ns, frame_id),
            height=cloud.height,
            width=cloud.width,
            fields=[
                field(name=name, offset=4 * number, datatype=FLOAT32, count=1)
                for number, name in enumerate(cloud.names)
            ],
            is_bigendian=False,
            point_step=cloud.point_step,
            row_step=cloud.row_step,
            data=self._array("B", cloud.data),
            is_dense=cloud.is_dense,
        )

    def scan(self, scan: ScanFields, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/LaserScan; all its beams are of one moment."""
        return self._types["sensor_msgs/msg/LaserScan"](
            header=self.header(stamp_ns, frame_id),
            angle_min=scan.angle_min,
            angle_max=scan.angle_max,
            angle_increment=scan.angle_increment,
            time_increment=0.0,
            scan_time=0.0,
            range_min=scan.range_min,
            range_max=scan.range_max,
            ranges=self._array("f", scan.ranges),
            intensities=self._array("f", np.empty(0, np.float32)),
        )

    def level_transform(self, mount: CameraMount, stamp_ns: int, optical_frame: str, level_frame: str) -> Any:
        """Build a geometry_msgs/TransformStamped: the level frame at the camera, x ahead and z up."""
        x, y, z, w = mount.quaternion()
        transform = self._types["geometry_msgs/msg/Transform"](
            translation=self._types["geometry_msgs/msg/Vector3"](x=0.0, y=0.0, z=0.0),
            rotation=self._types["geometry_msgs/msg/Quaternion"](x=x, y=y, z=z, w=w),
        )
        return self._types["geometry_msgs/msg/TransformStamped"](
            header=self.header(stamp_ns, optical_frame), child_frame_id=level_frame, transform=transform
        )
