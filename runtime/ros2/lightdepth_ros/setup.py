"""Install the ROS 2 package as ament_python wants it: `colcon build --packages-select lightdepth_ros`."""

from setuptools import setup

NAME = "lightdepth_ros"

setup(
    name=NAME,
    version="0.1.0",
    packages=[NAME],
    data_files=[
        ("share/ament_index/resource_index/packages", [f"resource/{NAME}"]),
        (f"share/{NAME}", ["package.xml"]),
        (f"share/{NAME}/launch", ["launch/lightdepth.launch.py"]),
        (f"share/{NAME}/config", ["config/lightdepth.yaml", "config/nav2_costmap.yaml"]),
    ],
    install_requires=["setuptools"],
    zip_safe=True,
    license="MIT",
    description="Metric depth, points and a laser scan from one camera, with LightDepth.",
    entry_points={"console_scripts": [f"lightdepth = {NAME}.node:main"]},
)
