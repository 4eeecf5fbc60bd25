"""ModelSpec: everything needed to feed a model and to read its output, carried inside every artifact."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from .errors import LightDepthError
from .sensor_view import SAME_SHAPE, published_view, values_seen

__all__ = [
    "SCHEMA",
    "SIZE_DIVISOR",
    "SPEC_KEY",
    "DepthCalibration",
    "DepthKind",
    "Intrinsics",
    "ModelSpec",
    "Precision",
    "check_input_size",
]

SPEC_KEY = "lightdepth_spec"  # the key under which the JSON stands in ONNX and safetensors metadata
SCHEMA = "lightdepth.spec/1"  # docs/modelspec.md writes it down; a number up where an old reader would misread a file
SIZE_DIVISOR = 32  # five encoder scales: the deepest features stand at 1/32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Precision = Literal["fp32", "fp16", "int8"]
# What a network's output is: metres, or inverse depth up to an unknown scale and shift.
DepthKind = Literal["metric", "relative-inverse"]


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole camera in pixels of a `width` x `height` image."""

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.width, self.height)
        if not all(math.isfinite(v) and v > 0 for v in values) or not math.isfinite(self.cx + self.cy):
            raise LightDepthError(f"Intrinsics need positive focal lengths and sizes in pixels, got {self}.")

    @classmethod
    def from_numbers(cls, values: Sequence[float]) -> "Intrinsics":
        """Return the camera that a user writes as fx, fy, cx, cy, width and height.

        Raises:
            LightDepthError: other than six numbers, or none of a camera.
        """
        if len(values) != 6 or any(not float(size).is_integer() for size in values[4:]):
            raise LightDepthError(
                "A camera is six numbers, fx fy cx cy width height, the last two whole; got "
                f"{' '.join(f'{value:g}' for value in values)}."
            )
        fx, fy, cx, cy, width, height = values
        return cls(fx, fy, cx, cy, int(width), int(height))

    @classmethod
    def from_field_of_view(cls, horizontal_deg: float, width: int, height: int) -> "Intrinsics":
        """Return the camera of square pixels, centred, with this horizontal field of view in degrees."""
        if not 0 < horizontal_deg < 180:
            raise LightDepthError(f"A field of view lies between 0 and 180 degrees, got {horizontal_deg}.")
        focal_px = width / 2 / math.tan(math.radians(horizontal_deg) / 2)
        return cls(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)

    @classmethod
    def from_camera_info(cls, message: Any) -> "Intrinsics":  # Any: a message class of whichever ROS library is there
        """Read a ROS 1 or ROS 2 `sensor_msgs/CameraInfo`: its matrix K for the images that its roi and binning tell.

        Where the image's own size is known, `ros.camera_of` is the better way: it finds out how the image was cut.
        """
        return cls(*values_seen(message, *published_view(message)))

    @property
    def field_of_view_deg(self) -> float:
        """The horizontal field of view."""
        return math.degrees(2 * math.atan(self.width / 2 / self.fx))

    def check_size(self, depth_m: NDArray[Any], image: NDArray[Any] | None = None) -> None:
        """Refuse depth (H, W), and an image (H, W, 3), that are not of this camera's size.

        Raises:
            LightDepthError: they aren't.
        """
        arrays = {"Depth": depth_m} if image is None else {"Depth": depth_m, "image": image}
        if any(array.shape[:2] != (self.height, self.width) for array in arrays.values()):
            sizes = ", ".join(f"{name} {array.shape[1]}x{array.shape[0]}" for name, array in arrays.items())
            raise LightDepthError(f"{sizes} and camera {self.width}x{self.height} differ in size; resize them to one.")

    def has_shape_of(self, width: int, height: int) -> bool:
        """Tell whether images of this size can be this camera's, made smaller or larger as a whole."""
        return abs(width * self.height / (height * self.width) - 1) <= SAME_SHAPE

    def scaled_to(self, width: int, height: int) -> "Intrinsics":
        """Return the camera for its image stretched to another size, pixel centres at whole numbers."""
        if (self.width, self.height) == (width, height):
            return self
        x, y = width / self.width, height / self.height
        return Intrinsics(self.fx * x, self.fy * y, (self.cx + 0.5) * x - 0.5, (self.cy + 0.5) * y - 0.5, width, height)

    def depth_factor(self, focal_px: float, height: int, width: int) -> float:
        """Return what to multiply depth with that a network trained with this camera sees through another one.

        A network reads distance from apparent size: with a focal length twice as long, things look twice as large and
        are taken to be at half their distance. Sizes count in parts of the frame, since every frame is stretched to the
        network's input: (focal / width) / (fx / training width), and the same with heights; the factor is the geometric
        mean of both, which are equal where the aspect ratios are.

        Args:
            focal_px: the other camera's focal length in pixels of an image of `height` x `width`, square pixels.
            height: of the image.
            width: of the image.
        """
        if not (math.isfinite(focal_px) and focal_px > 0):
            raise LightDepthError(f"focal_px needs a positive number of pixels, got {focal_px}.")
        across = (focal_px / width) / (self.fx / self.width)
        down = (focal_px / height) / (self.fy / self.height)
        return math.sqrt(across * down)


@dataclass(frozen=True)
class DepthCalibration:
    """What turns the network's depth into that of one camera and place: `scale * depth ** exponent`, in metres.

    A line in log depth: log scale is its shift, `exponent` its slope. `sigma_factor` multiplies the network's sigma,
    so that it matches the errors that are left. `fitted_on` says what it comes from.
    """

    scale: float
    exponent: float = 1.0
    fitted_on: str = "unknown"
    sigma_factor: float = 1.0

    def __post_init__(self) -> None:
        if not all(math.isfinite(v) and v > 0 for v in (self.scale, self.exponent, self.sigma_factor)):
            raise LightDepthError(
                f"A calibration needs a positive scale, exponent and sigma factor, got {self.scale}, {self.exponent} "
                f"and {self.sigma_factor}; fit it again with `lightdepth calibrate`."
            )

    def apply(self, depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate depth in metres in place, any shape; returns the same array."""
        if self.exponent != 1.0:
            np.power(depth_m, np.float32(self.exponent), out=depth_m)
        return np.multiply(depth_m, np.float32(self.scale), out=depth_m)

    def apply_sigma(self, sigma: NDArray[np.float32]) -> NDArray[np.float32]:
        """Calibrate sigma in place, any shape; returns the same array."""
        return np.multiply(sigma, np.float32(self.sigma_factor), out=sigma)

    def describe(self) -> str:
        """Say it as a formula."""
        text = (
            f"depth x {self.scale:.4g}" if self.exponent == 1.0 else f"{self.scale:.4g} x depth ^ {self.exponent:.4g}"
        )
        return text if self.sigma_factor == 1.0 else f"{text}, sigma x {self.sigma_factor:.4g}"


@dataclass(frozen=True)
class ModelSpec:
    """How to use a depth model: sizes in pixels, depths in metres.

    Input: float32 (B, 3, input_height, input_width), `(pixel / 255 - mean) / std` in `channel_order`,
    the whole frame resized without keeping its aspect ratio (`resize_mode` "stretch").
    Output: float32 (B, 1, input_height, input_width), metric depth along the optical axis in metres.

    With `sigma_tensor` set, the model has a second output of that name and the depth's shape: sigma, its own estimate
    of the standard deviation of log depth, positive and without a unit. 0.1 says that depth is about 10 % off. It is
    sqrt(2) times the scale of a Laplace distribution of log depth around the network's answer.

    With `frame_height` and `frame_width` set, the model resizes and normalises by itself: it takes a camera's frame,
    uint8 RGB (1, frame_height, frame_width, 3), and gives float32 (1, frame_height, frame_width) metres.

    `calibration` is not in the network: DepthEstimator applies it to the output.
    """

    name: str
    input_height: int
    input_width: int
    parameters: int
    gmacs: float | None = None  # multiply-accumulates of one image at the input size, in 1e9; None where nobody counted
    min_depth_m: float = 1e-3
    max_depth_m: float = 10.0
    channel_order: str = "rgb"
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resize_mode: str = "stretch"
    input_name: str = "image"
    output_name: str = "depth"
    sigma_tensor: str | None = None  # None for a model without the second output
    frame_height: int | None = None
    frame_width: int | None = None
    unit: str = "m"
    kind: str = "metric depth"
    precision: Precision = "fp32"
    quantized_for: str | None = None  # of INT8: "tensorrt" or "cpu", whose arithmetic differs
    training_data: str = "not trained"
    intrinsics: Intrinsics | None = None
    calibration: DepthCalibration | None = None
    source_commit: str = "unknown"
    checkpoint_sha256: str = "unknown"
    scores: Mapping[str, Any] = field(default_factory=dict)  # Any: a JSON object of an eval result

    def __post_init__(self) -> None:
        if not isinstance(self.input_height, int) or not isinstance(self.input_width, int):
            raise LightDepthError(f"Input size must be whole pixels, got {self.input_height!r}x{self.input_width!r}.")
        check_input_size(self.input_height, self.input_width)
        if len(self.mean) != 3 or len(self.std) != 3 or not all(math.isfinite(v) for v in (*self.mean, *self.std)):
            raise LightDepthError(f"mean and std need three finite values each, got {self.mean} and {self.std}.")
        if min(self.std) <= 0:
            raise LightDepthError(f"std needs positive values, got {self.std}.")
        if not 0 < self.min_depth_m < self.max_depth_m:
            raise LightDepthError(f"Depth range {self.min_depth_m}..{self.max_depth_m} m is empty; need 0 < min < max.")
        for name, value, known in (
            ("unit", self.unit, ("m",)),
            ("kind", self.kind, ("metric depth",)),
            ("channel_order", self.channel_order, ("rgb",)),
            ("resize_mode", self.resize_mode, ("stretch",)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise LightDepthError(
                    f"This model's {name} is {value!r}; this version of lightdepth-runtime knows {', '.join(known)}. "
                    "Update lightdepth-runtime."
                )

    def to_json(self) -> str:
        """Return the spec as one line of JSON with sorted keys; docs/modelspec.md describes each of them."""
        return json.dumps({"schema": SCHEMA, **asdict(self)}, sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "ModelSpec":
        """Read what `to_json` wrote; unknown keys are passed over.

        Raises:
            LightDepthError: not a spec, a later schema, a field missing, or a value this version doesn't know.
        """
        try:
            values = json.loads(text)
            schema = values.get("schema", SCHEMA)  # the first files had none and are of schema 1
            if schema != SCHEMA:
                raise LightDepthError(
                    f"The model's spec has the schema {schema!r}, and this version of lightdepth-runtime reads "
                    f"{SCHEMA}. Update lightdepth-runtime, or export the model again with this version."
                )
            known = {f.name for f in fields(cls)}
            values = {key: value for key, value in values.items() if key in known}
            values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
            if values.get("intrinsics") is not None:
                values["intrinsics"] = Intrinsics(**values["intrinsics"])
            if values.get("calibration") is not None:
                values["calibration"] = DepthCalibration(**values["calibration"])
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LightDepthError(
                f"The model's spec can't be read ({error}). Export the model again with this version of LightDepth."
            ) from error

    def with_changes(self, **changes: Any) -> "ModelSpec":  # Any: the types of the fields
        """Return a copy with some fields replaced."""
        return replace(self, **changes)


def check_input_size(height: int, width: int) -> None:
    """Refuse a network input size that 32 does not divide, and name the nearest sizes that it does.

    Raises:
        LightDepthError: height or width is not a positive multiple of 32.
    """
    if height > 0 and width > 0 and height % SIZE_DIVISOR == 0 and width % SIZE_DIVISOR == 0:
        return
    near_height, near_width = (max(SIZE_DIVISOR, round(v / SIZE_DIVISOR) * SIZE_DIVISOR) for v in (height, width))
    raise LightDepthError(
        f"Network input size {height}x{width} is not divisible by {SIZE_DIVISOR} (the encoder halves it five times); "
        f"use {near_height}x{near_width}."
    )
