"""LightDepth as a ROS 2 node; what it does with messages is `lightdepth_runtime.ros`, which needs no ROS."""
