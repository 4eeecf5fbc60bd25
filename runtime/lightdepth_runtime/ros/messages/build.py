"""Make ROS messages of any library: rclpy's on a robot, rosbags' for recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...obstacles import Obstacles
from ...obstacles.obstacles import FARTHEST_M, NEAREST_M
from ..answer import LevelFrame, RobotAnswer
from .camera_info import CameraFields
from .cloud import FLOAT32, POINT, CloudFields
from .image import NANOSECONDS, DepthImage

__all__ = ["TOPICS", "MessageBuilder"]

TOPICS = {  # of what is published of a frame, each below a namespace
    "depth/camera_info": "sensor_msgs/msg/CameraInfo",
    "depth/image_rect": "sensor_msgs/msg/Image",
    "points": "sensor_msgs/msg/PointCloud2",
    "confidence": "sensor_msgs/msg/Image",
    "scan": "sensor_msgs/msg/LaserScan",
}

# Any throughout: the classes are those of whichever library is there.


class MessageBuilder:
    """Build messages from classes that take all their fields by keyword.

    Args:
        type_of: gives the class of a name like `sensor_msgs/msg/Image`.
        array: turns an array into what the library wants in a field of open length, by `array.array`'s type code.
    """

    def __init__(
        self,
        type_of: Callable[[str], Any],
        array: Callable[[str, NDArray[Any]], Any] = lambda _code, values: values,
    ) -> None:
        self._type, self._array = type_of, array

    def parts(self, answer: RobotAnswer) -> Iterator[tuple[str, Callable[[], Any]]]:
        """Yield the topic of each message that an answer has, one of `TOPICS`, and what builds it."""
        stamp = answer.stamp_ns, answer.frame_id
        if answer.camera is not None:
            yield "depth/camera_info", partial(self.camera_info, answer.camera, *stamp)
        yield "depth/image_rect", partial(self.image, answer.depth)
        if answer.cloud is not None:
            yield "points", partial(self.cloud, answer.cloud, *stamp)
        if answer.confidence is not None:
            yield "confidence", partial(self.image, answer.confidence)
        if answer.scan is not None and answer.level is not None:
            yield "scan", partial(self.scan, answer.scan, answer.stamp_ns, answer.level.frame_id)

    def header(self, stamp_ns: int, frame_id: str) -> Any:
        """Build a std_msgs/Header."""
        seconds, nanoseconds = divmod(stamp_ns, NANOSECONDS)
        stamp = self._type("builtin_interfaces/msg/Time")(sec=seconds, nanosec=nanoseconds)
        return self._type("std_msgs/msg/Header")(stamp=stamp, frame_id=frame_id)

    def image(self, image: DepthImage) -> Any:
        """Build a sensor_msgs/Image."""
        fields = vars(image) | {"data": self._array("B", image.data), "is_bigendian": 0}
        header = self.header(fields.pop("stamp_ns"), fields.pop("frame_id"))
        return self._type("sensor_msgs/msg/Image")(header=header, **fields)

    def camera_info(self, camera: CameraFields, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/CameraInfo."""
        roi = self._type("sensor_msgs/msg/RegionOfInterest")(**camera.roi._asdict())
        fields = vars(camera) | {"d": self._array("d", camera.d), "roi": roi}
        return self._type("sensor_msgs/msg/CameraInfo")(header=self.header(stamp_ns, frame_id), **fields)

    def cloud(self, cloud: CloudFields, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/PointCloud2."""
        field = self._type("sensor_msgs/msg/PointField")
        return self._type("sensor_msgs/msg/PointCloud2")(
            header=self.header(stamp_ns, frame_id),
            height=cloud.height,
            width=cloud.width,
            fields=[
                field(name=name, offset=4 * number, datatype=FLOAT32, count=1)
                for number, name in enumerate(POINT.names or ())
            ],
            is_bigendian=False,
            point_step=POINT.itemsize,
            row_step=cloud.width * POINT.itemsize,
            data=self._array("B", cloud.data),
            is_dense=cloud.is_dense,
        )

    def scan(self, scan: Obstacles, stamp_ns: int, frame_id: str) -> Any:
        """Build a sensor_msgs/LaserScan, whose beams are the directions' middles and all of one moment.

        It counts as obstacles do, from right to left. Infinite says that nothing stands within `range_max`, NaN that
        nothing was measured (REP 117).
        """
        angles = scan.angles_rad
        return self._type("sensor_msgs/msg/LaserScan")(
            header=self.header(stamp_ns, frame_id),
            angle_min=float(angles[0]),
            angle_max=float(angles[-1]),
            angle_increment=float(scan.edges_rad[1] - scan.edges_rad[0]),
            time_increment=0.0,
            scan_time=0.0,
            range_min=NEAREST_M,
            range_max=FARTHEST_M,
            ranges=self._array("f", scan.ranges_m),
            intensities=self._array("f", np.empty(0, np.float32)),
        )

    def level_transform(self, level: LevelFrame, stamp_ns: int, optical_frame: str) -> Any:
        """Build a geometry_msgs/TransformStamped: the level frame at the camera, x ahead and z up."""
        x, y, z, w = level.mount.quaternion()
        transform = self._type("geometry_msgs/msg/Transform")(
            translation=self._type("geometry_msgs/msg/Vector3")(x=0.0, y=0.0, z=0.0),
            rotation=self._type("geometry_msgs/msg/Quaternion")(x=x, y=y, z=z, w=w),
        )
        return self._type("geometry_msgs/msg/TransformStamped")(
            header=self.header(stamp_ns, optical_frame), child_frame_id=level.frame_id, transform=transform
        )
