"""One ROS recording, from its messages to the files of a scene."""
