"""Fields of ROS messages: images, points, scans and cameras, to arrays and back."""
