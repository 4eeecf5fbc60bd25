"""What stands in front of a robot: the nearest distance of each direction, as a list, a laser scan or a picture."""

from .obstacles import Obstacles, find_obstacles

__all__ = ["Obstacles", "find_obstacles"]
