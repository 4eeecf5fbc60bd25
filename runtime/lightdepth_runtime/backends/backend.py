"""The Protocol of everything that runs a network."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..spec import ModelSpec

__all__ = [
    "Backend",
    "NamedOutputs",
    "depth_and_sigma",
    "empty_input",
    "sigma_tensor_of",
    "spec_of_metadata",
    "staged",
    "tensors_of",
]


class Backend(Protocol):
    """A loaded network on one device.

    Arrays that come out belong to the caller: later calls leave them as they are.

    `name` is the engine ("onnxruntime", "torch"), `device` what it runs on ("cpu", "cuda", "cuda:1"), read back after
    loading.
    It may have a `device_reason`, half a sentence that says why it is that device, a `largest_batch` that it runs at
    once, and `empty_input(count)`: an array for a batch, in memory that `run` takes without another copy, or None. That
    array is the same at each call.
    """

    spec: ModelSpec
    name: str
    device: str

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map normalised images (B, 3, H, W) to metres (B, 1, H, W), both float32 and C-contiguous."""
        ...

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Map the same to depth and sigma, both (B, 1, H, W); `ModelSpec` says what sigma means.

        Raises:
            LightDepthError: a model without sigma.
        """
        ...

    def close(self) -> None:
        """Free what was allocated; `run` raises LightDepthError afterwards, a second `close` does nothing."""
        ...


class NamedOutputs(ABC):
    """The two calls of a Backend whose network is asked for its outputs by their names."""

    spec: ModelSpec

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """See `Backend`."""
        return self._run([self.spec.output_name], batch)[0]

    def run_both(self, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See `Backend`."""
        depth_m, sigma = self._run([self.spec.output_name, sigma_tensor_of(self.spec)], batch)
        return depth_m, sigma

    @abstractmethod
    def _run(self, names: Sequence[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Return these outputs."""


def sigma_tensor_of(spec: ModelSpec) -> str:
    """Return the name of a model's second output.

    Raises:
        LightDepthError: it has none.
    """
    if spec.sigma_tensor is None:
        raise LightDepthError(
            f"{spec.name} gives depth without sigma; use a model that was trained with `confidence: true`, or leave "
            "out what needs sigma."
        )
    return spec.sigma_tensor


def spec_of_metadata(text: str | None, name: object) -> ModelSpec:
    """Read the spec in an ONNX file's metadata; `name` is what an error calls the file.

    Raises:
        LightDepthError: no spec there, or one that this version can't read.
    """
    if text is None:
        raise LightDepthError(
            f"{name} has no LightDepth metadata, so its input and unit are unknown; write it with `lightdepth export`."
        )
    return ModelSpec.from_json(text)


def tensors_of(spec: ModelSpec) -> dict[str, tuple[tuple[int, ...], type[Any]]]:  # Any: NumPy's float32 or uint8
    """Return each tensor's shape behind the batch, and its type; the input first."""
    size = spec.input_height, spec.input_width
    image, output = ((3, *size), np.float32), ((1, *size), np.float32)
    if spec.frame_height is not None and spec.frame_width is not None:  # preprocessing is in the model
        size = spec.frame_height, spec.frame_width
        image, output = ((*size, 3), np.uint8), (size, np.float32)
    names = [spec.output_name, *([spec.sigma_tensor] if spec.sigma_tensor else [])]
    return {spec.input_name: image, **dict.fromkeys(names, output)}


def depth_and_sigma(
    backend: Backend, batch: NDArray[np.float32]
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return what `run` returns, and sigma of a model that has it."""
    return (backend.run(batch), None) if backend.spec.sigma_tensor is None else backend.run_both(batch)


def empty_input(backend: Backend, count: int = 1) -> NDArray[np.float32]:
    """Return an array for `count` inputs; where the backend has staging memory, that spares a copy."""
    staging = getattr(backend, "empty_input", lambda _: None)(count)
    if staging is not None:
        return staging
    shape, dtype = tensors_of(backend.spec)[backend.spec.input_name]
    return np.empty((count, *shape), dtype)


def staged(backend: Backend, batch: NDArray[Any]) -> NDArray[Any]:  # Any: float32, or a frame's uint8
    """Return a batch in the backend's own memory, where it has some, else the batch itself."""
    staging = getattr(backend, "empty_input", lambda _: None)(len(batch))
    if staging is None:
        return batch
    np.copyto(staging, batch)
    return staging
