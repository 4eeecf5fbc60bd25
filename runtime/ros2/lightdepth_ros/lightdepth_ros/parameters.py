"""The node's parameters: names, defaults, and what they become. It needs no ROS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lightdepth_runtime import DepthEstimator, DepthHandler, LightDepthError
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.obstacles.obstacles import CLEARANCE_M
from lightdepth_runtime.ros.answer import BEAMS, LEVEL_FRAME, POINT_STRIDE, AnswerOptions
from lightdepth_runtime.sigma import MAX_SIGMA

__all__ = ["DEFAULTS", "Parameters"]

# ROS takes no None: an empty text, 0 threads and a height of 0 m stand for "not given".
DEFAULTS: dict[str, str | bool | int | float] = {
    "model": "",
    "device": "auto",
    "threads": 0,
    "image_transport": "raw",
    "encoding": "32FC1",
    "steady": True,
    "max_sigma": MAX_SIGMA,
    "point_stride": POINT_STRIDE,
    "camera_height": 0.0,
    "camera_tilt": 0.0,
    "camera_roll": 0.0,
    "scale_from_floor": False,
    "scan_beams": BEAMS,
    "scan_frame": LEVEL_FRAME,
    "floor_margin": 0.0,
    "clearance": CLEARANCE_M,
}
FIXED = ("model", "device", "threads", "image_transport")  # what the node is started with


@dataclass(frozen=True)
class Parameters:
    """What a user set, each value under its name in `DEFAULTS`."""

    values: dict[str, Any]  # Any: each has its default's type

    @classmethod
    def declare(cls, declare: Callable[[str, Any], Any]) -> Parameters:
        """Declare every parameter with its default; `declare` returns the node's parameter, of any type.

        Raises:
            LightDepthError: a value of another type than its default's.
        """
        return cls({name: _typed(name, declare(name, default).value) for name, default in DEFAULTS.items()})

    def changed(self, values: Mapping[str, Any]) -> Parameters:
        """Return the parameters with some of them changed while the node runs; names that are not ours don't matter.

        Raises:
            LightDepthError: one that the node is started with, or a value of another type than its default's.
        """
        own = {name: _typed(name, value) for name, value in values.items() if name in DEFAULTS}
        for name in FIXED:
            if own.get(name, self.values[name]) != self.values[name]:
                raise LightDepthError(f"{name} is read when the node starts; start it anew with {name}:={own[name]}.")
        return Parameters({**self.values, **own})

    def estimator(self) -> DepthEstimator:
        """Load the model.

        Raises:
            LightDepthError: no such model or device.
        """
        return DepthEstimator.load(self.values["model"] or None, self.values["device"], self.values["threads"] or None)

    def handler(self, estimator: DepthEstimator, topic: str) -> DepthHandler:
        """Make what answers the images of a topic.

        Raises:
            LightDepthError: an impossible value.
        """
        values = self.values
        mount = None
        if values["camera_height"] != 0:
            mount = CameraMount(values["camera_height"], values["camera_tilt"], values["camera_roll"])
        options = AnswerOptions(
            encoding=values["encoding"],
            point_stride=values["point_stride"],
            mount=mount,
            beams=values["scan_beams"],
            level_frame=values["scan_frame"],
            max_sigma=values["max_sigma"],
            floor_margin_m=values["floor_margin"] or None,
            clearance_m=values["clearance"],
        )
        ways = {name: values[name] for name in ("steady", "scale_from_floor")}
        return DepthHandler(estimator, options, **ways, topic=topic)


def _typed(name: str, value: Any) -> Any:  # Any: a parameter's value
    """Return a value in its default's type: whole numbers do for the others."""
    kind = type(DEFAULTS[name])
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise LightDepthError(f"The parameter {name} is a {kind.__name__} like {DEFAULTS[name]!r}, got {value!r}.")
    return value
