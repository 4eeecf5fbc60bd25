"""Memory, streams and copies of a CUDA device, by NVIDIA's cuda-bindings: no torch, no pycuda."""

from __future__ import annotations

import ctypes
import importlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError

__all__ = ["CudaBuffers", "DeviceBuffers", "GpuInfo", "load_cudart", "open_cuda"]

_MODULES = ("cuda.bindings.runtime", "cuda.cudart")  # the second is the spelling of cuda-python 12.0 to 12.5


@dataclass(frozen=True)
class GpuInfo:
    """Name and compute capability ("sm86") of a GPU."""

    name: str
    compute_capability: str


class DeviceBuffers(Protocol):
    """What a backend needs of a device. Addresses, streams and graphs are plain integers or opaque handles."""

    def gpu(self) -> GpuInfo:
        """Describe the device."""
        ...

    def allocate_device(self, size_bytes: int) -> int:
        """Return the address of new device memory."""
        ...

    def free_device(self, address: int) -> None:
        """Free what `allocate_device` returned."""
        ...

    def allocate_pinned(self, shape: tuple[int, ...]) -> tuple[int, NDArray[np.float32]]:
        """Return page-locked host memory: its address, and an array over it."""
        ...

    def free_pinned(self, address: int) -> None:
        """Free what `allocate_pinned` returned; its array may not be touched afterwards."""
        ...

    def create_stream(self) -> Any:  # Any: an opaque handle that int() turns into TensorRT's
        """Return a new stream."""
        ...

    def destroy_stream(self, stream: Any) -> None:  # Any: see create_stream
        """Destroy a stream."""
        ...

    def copy_to_device(self, device: int, host: int, size_bytes: int, stream: Any) -> None:  # Any: see create_stream
        """Queue a copy."""
        ...

    def copy_to_host(self, host: int, device: int, size_bytes: int, stream: Any) -> None:  # Any: see create_stream
        """Queue a copy."""
        ...

    def synchronize(self, stream: Any) -> None:  # Any: see create_stream
        """Wait until the stream is idle."""
        ...

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:  # Any: see create_stream; an opaque graph
        """Record the work that a function queues, without running it."""
        ...

    def launch(self, graph: Any, stream: Any) -> None:  # Any: see capture
        """Queue a recorded graph."""
        ...

    def destroy_graph(self, graph: Any) -> None:  # Any: see capture
        """Free a recorded graph."""
        ...


class CudaBuffers:
    """DeviceBuffers over `cuda.bindings.runtime`; every status is checked."""

    def __init__(self, cudart: Any) -> None:  # Any: cuda-bindings are untyped
        self._cudart = cudart

    def gpu(self) -> GpuInfo:
        """Describe device 0."""
        properties = self._call("cudaGetDeviceProperties", 0)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        return GpuInfo(name.rstrip("\0"), f"sm{properties.major}{properties.minor}")

    def allocate_device(self, size_bytes: int) -> int:
        """Allocate with cudaMalloc."""
        return int(self._call("cudaMalloc", size_bytes))

    def free_device(self, address: int) -> None:
        """Free with cudaFree."""
        self._call("cudaFree", address)

    def allocate_pinned(self, shape: tuple[int, ...]) -> tuple[int, NDArray[np.float32]]:
        """Allocate page-locked float32 with cudaMallocHost."""
        address = int(self._call("cudaMallocHost", int(np.prod(shape)) * np.dtype(np.float32).itemsize))
        pointer = ctypes.cast(address, ctypes.POINTER(ctypes.c_float))
        return address, np.ctypeslib.as_array(pointer, shape)

    def free_pinned(self, address: int) -> None:
        """Free with cudaFreeHost."""
        self._call("cudaFreeHost", address)

    def create_stream(self) -> Any:
        """Create a stream of our own: the default one would synchronise with everything."""
        return self._call("cudaStreamCreate")

    def destroy_stream(self, stream: Any) -> None:
        """Destroy it."""
        self._call("cudaStreamDestroy", stream)

    def copy_to_device(self, device: int, host: int, size_bytes: int, stream: Any) -> None:
        """Queue cudaMemcpyAsync."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        self._call("cudaMemcpyAsync", device, host, size_bytes, kind, stream)

    def copy_to_host(self, host: int, device: int, size_bytes: int, stream: Any) -> None:
        """Queue cudaMemcpyAsync."""
        kind = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        self._call("cudaMemcpyAsync", host, device, size_bytes, kind, stream)

    def synchronize(self, stream: Any) -> None:
        """Wait with cudaStreamSynchronize."""
        self._call("cudaStreamSynchronize", stream)

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:
        """Record between cudaStreamBeginCapture and cudaStreamEndCapture; an error inside ends the recording."""
        mode = self._cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self._call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            with suppress(LightDepthError):  # an invalidated capture ends with an error of its own
                self._call("cudaGraphDestroy", self._call("cudaStreamEndCapture", stream))
            raise
        graph = self._call("cudaStreamEndCapture", stream)
        try:
            return self._call("cudaGraphInstantiate", graph, 0)
        finally:
            self._call("cudaGraphDestroy", graph)

    def launch(self, graph: Any, stream: Any) -> None:
        """Queue with cudaGraphLaunch."""
        self._call("cudaGraphLaunch", graph, stream)

    def destroy_graph(self, graph: Any) -> None:
        """Free with cudaGraphExecDestroy."""
        self._call("cudaGraphExecDestroy", graph)

    def _call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime; return its value, or raise its error."""
        status, *values = getattr(self._cudart, name)(*arguments)
        if int(status) != 0:
            label = getattr(status, "name", f"error {int(status)}")
            raise LightDepthError(f"CUDA refused {name} ({label}); check the GPU with nvidia-smi and its free memory.")
        return values[0] if values else None


def load_cudart() -> Any:  # Any: cuda-bindings are untyped
    """Import the CUDA runtime's bindings, under their present or their older name.

    Raises:
        LightDepthError: not installed.
    """
    for name in _MODULES:
        with suppress(ImportError):
            return importlib.import_module(name)
    raise LightDepthError(
        "cuda-bindings is missing, by which the runtime reaches the GPU; install it with: pip install cuda-bindings "
        "(version 12 on JetPack 6, 13 for CUDA 13)."
    )


def open_cuda(cudart: Any = None) -> CudaBuffers:  # Any: cuda-bindings are untyped
    """Return the device's buffers after asking the driver whether there is a device.

    TensorRT's runtime crashes the process where there is none, so this comes before it.

    Raises:
        LightDepthError: cuda-bindings missing, no driver, or no GPU.
    """
    cudart = cudart or load_cudart()
    status, count = cudart.cudaGetDeviceCount()
    if int(status) != 0 or not count:
        label = getattr(status, "name", f"error {int(status)}") if int(status) else "no device"
        raise LightDepthError(
            f"CUDA finds no GPU here ({label}), and a TensorRT engine needs one; run the ONNX model on the CPU instead."
        )
    return CudaBuffers(cudart)
