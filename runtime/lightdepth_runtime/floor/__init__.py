"""How a camera stands over the floor, and the floor in its depth."""

from .mount import CameraMount
from .plane import Floor, find_floor

__all__ = ["CameraMount", "Floor", "find_floor"]
