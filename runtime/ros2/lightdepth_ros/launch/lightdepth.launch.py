"""Start the node: `ros2 launch lightdepth_ros lightdepth.launch.py image:=/camera/image_rect camera_height:=0.3`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchContext, LaunchDescription
from launch.actions import DeclareLaunchArgument, OpaqueFunction
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node

DEFAULTS = Path(get_package_share_directory("lightdepth_ros")) / "config" / "lightdepth.yaml"
TOPICS = {
    "image": ("/camera/image_rect", "Rectified colour images."),
    "camera_info": ("/camera/camera_info", "Their CameraInfo."),
    "known_points": ("/known_points", "Known points (PointCloud2) in the camera's optical frame, if any."),
    "range": ("/range", "A range finder beside the camera, if any."),
}
MOUNT = {
    "camera_height": "The camera's height over the floor in metres; 0: no scan. Default: as in params_file.",
    "camera_tilt": "How far the camera looks down, in degrees. Default: as in params_file.",
    "camera_roll": "How much lower the camera's right side hangs, in degrees. Default: as in params_file.",
}


def generate_launch_description() -> LaunchDescription:
    """Describe the node `/lightdepth/lightdepth`, its parameters and the topics that it takes."""
    arguments = {"params_file": (str(DEFAULTS), "Parameters of the node."), **TOPICS}
    arguments |= {name: ("", text) for name, text in MOUNT.items()}
    declared = [
        DeclareLaunchArgument(name, default_value=default, description=text)
        for name, (default, text) in arguments.items()
    ]
    return LaunchDescription([*declared, OpaqueFunction(function=_node)])


def _node(context: LaunchContext) -> list[Node]:
    """Make the node once the arguments are known: those that are not given leave the file's values alone."""
    given = {name: LaunchConfiguration(name).perform(context) for name in ("params_file", *TOPICS, *MOUNT)}
    mount = {name: float(given[name]) for name in MOUNT if given[name]}
    return [
        Node(
            package="lightdepth_ros",
            executable="lightdepth",
            namespace="lightdepth",
            name="lightdepth",
            output="screen",
            parameters=[given["params_file"], *([mount] if mount else [])],
            remappings=[(topic, given[topic]) for topic in TOPICS],
        )
    ]
