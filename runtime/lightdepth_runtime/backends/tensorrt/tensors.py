"""Whether an engine's tensors are the ones that its spec says."""

from __future__ import annotations

from typing import Any

from ...errors import LightDepthError
from ...spec import ModelSpec
from ..backend import tensors_of

__all__ = ["batch_range"]


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
