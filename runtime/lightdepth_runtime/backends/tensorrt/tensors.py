"""The tensors of an engine: what a spec says they are, and whether an engine has them."""

from __future__ import annotations

from typing import Any

import numpy as np

from ...errors import LightDepthError
from ...spec import ModelSpec

__all__ = ["batch_range", "tensors_of"]


def tensors_of(spec: ModelSpec) -> dict[str, tuple[tuple[int, ...], type[np.generic]]]:
    """Return each tensor's shape behind the batch, and its type; the input first."""
    size = spec.input_height, spec.input_width
    image, output = ((3, *size), np.float32), ((1, *size), np.float32)
    if spec.frame_height is not None and spec.frame_width is not None:  # preprocessing is in the engine
        size = spec.frame_height, spec.frame_width
        image, output = ((*size, 3), np.uint8), (size, np.float32)
    names = [spec.output_name, *([spec.sigma_tensor] if spec.sigma_tensor else [])]
    return {spec.input_name: image, **dict.fromkeys(names, output)}


def batch_range(trt: Any, engine: Any, spec: ModelSpec) -> tuple[int, int]:  # Any: NVIDIA ships no types
    """Return the smallest and largest batch, after making sure that the engine's tensors are the spec's.

    Raises:
        LightDepthError: other names, types or sizes.
    """
    names, wanted = {engine.get_tensor_name(i) for i in range(engine.num_io_tensors)}, tensors_of(spec)
    if names != set(wanted):
        raise LightDepthError(
            f"The engine's tensors are {', '.join(sorted(names))}, and its spec says {', '.join(sorted(wanted))}; "
            "build it again."
        )
    for name, (size, dtype) in wanted.items():
        shape, kind = tuple(engine.get_tensor_shape(name)), engine.get_tensor_dtype(name)
        if shape[1:] != size or kind != getattr(trt, dtype.__name__):
            raise LightDepthError(
                f"The engine's tensor {name!r} is {kind} {shape}; this backend needs {dtype.__name__} (B, "
                f"{', '.join(map(str, size))}). Build it from `lightdepth export`'s ONNX."
            )
    fixed = int(engine.get_tensor_shape(spec.input_name)[0])
    if fixed > 0:
        return fixed, fixed
    smallest, _, largest = engine.get_tensor_profile_shape(spec.input_name, 0)
    return int(smallest[0]), int(largest[0])
