"""Metric depth at the edge: load a model, call it with an image, get metres. Needs numpy and a backend, never torch.

A name is imported from its module when it is first used, so that importing the package costs next to nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from .backends import Backend, FakeBackend
    from .backends.tensorrt.backend import open_engine
    from .errors import LightDepthError
    from .estimator import DepthEstimator, DepthPrediction
    from .evaluation.evaluate import EvalResult, evaluate
    from .evaluation.protocol import Protocol, get_protocol
    from .floor import CameraMount
    from .frames.camera import Camera
    from .frames.frame import Frame
    from .frames.video import VideoFile
    from .images.decode import read_image
    from .infer.streams import open_stream, plan_streams
    from .obstacles import Obstacles, find_obstacles
    from .pairs import Pair, PairSet, load_pairs
    from .ros import DepthHandler, DepthImage
    from .scale import DepthCorrection, ScaleTracker, correction_from_height, fit_correction
    from .spec import DepthCalibration, Intrinsics, ModelSpec
    from .steady import SteadyDepth

__all__ = [
    "Backend",
    "Camera",
    "CameraMount",
    "DepthCalibration",
    "DepthCorrection",
    "DepthEstimator",
    "DepthHandler",
    "DepthImage",
    "DepthPrediction",
    "EvalResult",
    "FakeBackend",
    "Frame",
    "Intrinsics",
    "LightDepthError",
    "ModelSpec",
    "Obstacles",
    "Pair",
    "PairSet",
    "Protocol",
    "ScaleTracker",
    "SteadyDepth",
    "VideoFile",
    "__version__",
    "correction_from_height",
    "evaluate",
    "find_obstacles",
    "fit_correction",
    "get_protocol",
    "load_pairs",
    "open_engine",
    "open_stream",
    "plan_streams",
    "read_image",
]

_MODULES = {
    ".backends": ("Backend", "FakeBackend"),
    ".backends.tensorrt.backend": ("open_engine",),
    ".errors": ("LightDepthError",),
    ".estimator": ("DepthEstimator", "DepthPrediction"),
    ".evaluation.evaluate": ("EvalResult", "evaluate"),
    ".evaluation.protocol": ("Protocol", "get_protocol"),
    ".floor": ("CameraMount",),
    ".frames.camera": ("Camera",),
    ".frames.frame": ("Frame",),
    ".frames.video": ("VideoFile",),
    ".images.decode": ("read_image",),
    ".infer.streams": ("open_stream", "plan_streams"),
    ".obstacles": ("Obstacles", "find_obstacles"),
    ".pairs": ("Pair", "PairSet", "load_pairs"),
    ".ros": ("DepthHandler", "DepthImage"),
    ".scale": ("DepthCorrection", "ScaleTracker", "correction_from_height", "fit_correction"),
    ".spec": ("DepthCalibration", "Intrinsics", "ModelSpec"),
    ".steady": ("SteadyDepth",),
}
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULE_OF[name], __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
