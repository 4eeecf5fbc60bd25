"""Another project's depth network beside ours: how to feed it, and what its output is worth."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.opencv import import_cv2
from ..spec import IMAGENET_MEAN, IMAGENET_STD, DepthKind, Precision
from .onnx.backend import GraphRunner, check_tensors, open_graph

__all__ = [
    "BASELINE_KEY",
    "BaselineBackend",
    "BaselineSpec",
    "baseline_input",
    "is_baseline",
    "open_baseline",
    "read_baseline_spec",
]

BASELINE_KEY = "lightdepth_baseline"  # the key under which the JSON stands in ONNX metadata

Interpolation = Literal["bicubic", "bilinear"]


@dataclass(frozen=True)
class BaselineSpec:
    """How to feed another project's network; unlike a ModelSpec it promises no metres.

    Input: float32 (1, 3, input_height, input_width), RGB, `(pixel / 255 - mean) / std`. Output: float32 (1, H, W) or
    (1, 1, H, W); `kind` "relative-inverse" is inverse depth up to an unknown scale and shift, larger is nearer.
    """

    name: str
    kind: DepthKind
    input_height: int
    input_width: int
    parameters: int
    weights: str  # where they came from: "hub", "random", or the name of a local folder
    gmacs: float | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: Interpolation = "bicubic"
    input_name: str = "image"
    output_name: str = "depth"
    precision: Precision = "fp32"
    min_depth_m: float = 1e-3
    max_depth_m: float = 10.0

    def __post_init__(self) -> None:
        for name, value, known in (
            ("kind", self.kind, get_args(DepthKind)),
            ("interpolation", self.interpolation, get_args(Interpolation)),
            ("precision", self.precision, get_args(Precision)),
        ):
            if value not in known:
                raise LightDepthError(f"A baseline's {name} must be one of {', '.join(known)}, got {value!r}.")

    @property
    def is_random(self) -> bool:
        """Whether the weights were never trained, so that only speed and size mean something."""
        return self.weights == "random"

    def to_json(self) -> str:
        """Return the spec as one line of JSON with sorted keys."""
        return json.dumps(asdict(self), sort_keys=True, allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> BaselineSpec:
        """Read what `to_json` wrote.

        Raises:
            LightDepthError: not a spec, or a field missing.
        """
        try:
            known = {f.name for f in fields(cls)}
            values = {key: value for key, value in json.loads(text).items() if key in known}
            values["mean"], values["std"] = tuple(values["mean"]), tuple(values["std"])
            return cls(**values)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise LightDepthError(f"The baseline's spec can't be read ({error}). Export the baseline again.") from error


class BaselineBackend(GraphRunner[BaselineSpec]):
    """Another project's network."""

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map (1, 3, H, W) to the network's own output, as it is."""
        return self._run([self.spec.output_name], batch)[0]

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict one frame: uint8 RGB (H, W, 3) -> float32 (h, w) of the spec's `kind`, at the network's own size."""
        output = self.run(baseline_input(image, self.spec)[None])
        return output.reshape(output.shape[-2:])  # (1, h, w) or (1, 1, h, w) -> (h, w)


def open_baseline(
    path: Path, device: str = "auto", threads: int | None = None, *, spec_path: Path | None = None
) -> BaselineBackend:
    """Open any ONNX depth model, fed as a spec file says; without one, as the BaselineSpec in its metadata says.

    Raises:
        LightDepthError: a file is unreadable or without a spec, the spec isn't this graph's, or the device isn't there.
    """
    spec = spec_path and read_baseline_spec(spec_path, path.stem)
    graph = open_graph(path, device, threads)
    try:
        if spec is None:
            if BASELINE_KEY not in graph.metadata:
                raise LightDepthError(f"{path} has no baseline metadata, so its input and output are unknown.")
            spec = BaselineSpec.from_json(graph.metadata[BASELINE_KEY])
        size = (1, 3, spec.input_height, spec.input_width)
        fix = "set input_name, output_name, input_height and input_width in the spec"
        check_tensors(path, graph, spec.input_name, size, [spec.output_name], fix=fix)
    except LightDepthError:
        graph.close()
        raise
    return BaselineBackend(graph, spec)


def read_baseline_spec(path: Path, name: str) -> BaselineSpec:
    """Read a JSON file of BaselineSpec's fields: `kind`, `input_height` and `input_width` are needed, others may be.

    Args:
        path: the file.
        name: the model's, where the file gives none.

    Raises:
        LightDepthError: unreadable, not a JSON object, an unknown key, or a key missing or of the wrong kind.
    """
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LightDepthError(f"The baseline's spec {path} can't be read as JSON ({error}).") from error
    if not isinstance(values, dict):
        raise LightDepthError(f"{path} holds {type(values).__name__}, a baseline's spec is a JSON object.")
    known = [field.name for field in fields(BaselineSpec)]
    for key in values:
        if key not in known:
            raise LightDepthError(f"{path}: unknown key {key!r}; a baseline's spec has {', '.join(known)}.")
    missing = [key for key in ("kind", "input_height", "input_width") if key not in values]
    if missing:
        raise LightDepthError(f"{path} lacks {', '.join(missing)}; without them the network can't be fed.")
    values = {"name": name, "parameters": 0, "weights": "trained", **values}
    try:
        for key in ("mean", "std"):
            if key in values:
                first, second, third = (float(value) for value in values[key])
                values[key] = (first, second, third)
        values["input_height"], values["input_width"] = int(values["input_height"]), int(values["input_width"])
    except (TypeError, ValueError) as error:
        raise LightDepthError(f"{path}: mean and std are three numbers, sizes whole pixels ({error}).") from error
    return BaselineSpec(**values)


def is_baseline(path: Path) -> bool:
    """Tell whether an ONNX file carries a BaselineSpec, from its bytes alone (the metadata is stored as text)."""
    return path.suffix == ".onnx" and path.is_file() and BASELINE_KEY.encode() in path.read_bytes()


def baseline_input(image: NDArray[np.uint8], spec: BaselineSpec) -> NDArray[np.float32]:
    """Turn a uint8 RGB (H, W, 3) frame into the network's float32 (3, input_height, input_width) input.

    Resized in float, as the published preprocessing does, so that bicubic overshoot is not cut at 0 and 255.
    """
    cv2 = import_cv2()
    flag = {"bicubic": cv2.INTER_CUBIC, "bilinear": cv2.INTER_LINEAR}[spec.interpolation]
    scaled = image.astype(np.float32) / np.float32(255)
    resized = cv2.resize(scaled, (spec.input_width, spec.input_height), interpolation=flag)  # (h, w, 3)
    normalised = (resized - np.array(spec.mean, np.float32)) / np.array(spec.std, np.float32)
    return np.ascontiguousarray(normalised.transpose(2, 0, 1))  # (h, w, 3) -> (3, h, w)
