"""Start the node: `ros2 launch lightdepth_ros lightdepth.launch.py image:=/camera/image_rect camera_height:=0.3`."""

from pathlib import Path

from ament_index_python.packages import get_package_share_directory
from launch import LaunchDescription
from launch.actions import DeclareLaunchArgument
from launch.substitutions import LaunchConfiguration
from launch_ros.actions import Node
from launch_ros.parameter_descriptions import ParameterValue


def generate_launch_description() -> LaunchDescription:
    """Describe the node `/lightdepth/lightdepth`, its parameters and the topics that it takes."""
    defaults = Path(get_package_share_directory("lightdepth_ros")) / "config" / "lightdepth.yaml"
    arguments = {
        "image": ("/camera/image_rect", "Rectified colour images."),
        "camera_info": ("/camera/camera_info", "Their CameraInfo."),
        "known_points": ("/known_points", "Known points (PointCloud2) in the camera's optical frame, if any."),
        "range": ("/range", "A range finder beside the camera, if any."),
        "params_file": (str(defaults), "Parameters of the node."),
        "camera_height": ("0.0", "The camera's height over the floor in metres; 0: no scan."),
        "camera_tilt": ("0.0", "How far the camera looks down, in degrees."),
    }
    given = {name: LaunchConfiguration(name) for name in arguments}
    mount = {name: ParameterValue(given[name], value_type=float) for name in ("camera_height", "camera_tilt")}
    return LaunchDescription(
        [
            *(
                DeclareLaunchArgument(name, default_value=default, description=text)
                for name, (default, text) in arguments.items()
            ),
            Node(
                package="lightdepth_ros",
                executable="lightdepth",
                namespace="lightdepth",
                name="lightdepth",
                output="screen",
                parameters=[given["params_file"], mount],
                remappings=[(topic, given[topic]) for topic in ("image", "camera_info", "known_points", "range")],
            ),
        ]
    )
