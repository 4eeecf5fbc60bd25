"""Metric depth at the edge: load a model, call it with an image, get metres. Needs numpy and a backend, never torch."""

__version__ = "0.1.0"

from .errors import LightDepthError
from .estimator import DepthEstimator
from .spec import CameraIntrinsics, Intrinsics, ModelSpec

__all__ = ["CameraIntrinsics", "DepthEstimator", "Intrinsics", "LightDepthError", "ModelSpec", "__version__"]
