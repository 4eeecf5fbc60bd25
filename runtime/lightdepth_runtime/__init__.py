"""Metric depth at the edge: load a model, call it with an image, get metres. Needs numpy and a backend, never torch.

A name is imported from its module when it is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

__all__ = ["DepthEstimator", "DepthPrediction", "Intrinsics", "LightDepthError", "ModelSpec", "__version__"]
