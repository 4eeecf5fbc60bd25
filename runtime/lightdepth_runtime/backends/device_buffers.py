"""Memory, streams and copies of a CUDA device, by NVIDIA's cuda-bindings: no torch, no pycuda."""

from __future__ import annotations

import ctypes
import importlib
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import LightDepthError

__all__ = ["RECORDING", "CudaBuffers", "GpuInfo", "address_of", "load_cudart", "open_cuda"]

_MODULES = ("cuda.bindings.runtime", "cuda.cudart")  # the second is the spelling of cuda-python 12.0 to 12.5
# Held while ONNX Runtime records, and by whoever takes or frees device memory: it records in CUDA's global mode, where
# memory that any thread takes or frees meanwhile breaks the recording.
RECORDING = threading.RLock()
_BUS_ID_BYTES = 32  # "0000:65:00.0" and the zero behind it need 13


@dataclass(frozen=True)
class GpuInfo:
    """Name and compute capability ("sm86") of a GPU."""

    name: str
    compute_capability: str


class CudaBuffers:
    """Memory and streams of the GPU of an index, over `cuda.bindings.runtime`; every status is checked.

    Addresses, streams and graphs are plain integers or opaque handles.
    """

    def __init__(self, cudart: Any, index: int = 0) -> None:  # Any: cuda-bindings are untyped
        self._cudart, self._index = cudart, index

    def activate(self) -> None:
        """Call cudaSetDevice, which holds for the calling thread alone: every thread does so before its other calls."""
        self._call("cudaSetDevice", self._index)

    def gpu(self) -> GpuInfo:
        """Describe the device."""
        properties = self._call("cudaGetDeviceProperties", self._index)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        return GpuInfo(name.rstrip("\0"), f"sm{properties.major}{properties.minor}")

    def pci_bus_id(self) -> str:
        """Return the device's address on the bus, by which NVIDIA's other libraries know it."""
        return self._call("cudaDeviceGetPCIBusId", _BUS_ID_BYTES, self._index).decode().rstrip("\0")

    def allocate_device(self, size_bytes: int) -> int:
        """Allocate with cudaMalloc."""
        return int(self._call("cudaMalloc", size_bytes))

    def free_device(self, address: int) -> None:
        """Free with cudaFree."""
        self._call("cudaFree", address)

    def allocate_pinned(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Allocate with cudaMallocHost; cudaFreeHost follows when nothing views the memory any more."""
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaMallocHost", size_bytes))
        memory = (ctypes.c_uint8 * size_bytes).from_address(address)  # every view of the array keeps this alive
        weakref.finalize(memory, self._cudart.cudaFreeHost, address).atexit = False  # the process frees it by itself
        return np.ctypeslib.as_array(memory).view(dtype).reshape(shape)

    def create_stream(self) -> Any:  # Any: an opaque handle, here and below, that int() turns into TensorRT's
        """Create a stream that the default one doesn't wait for: its work would end a recording."""
        return self._call("cudaStreamCreateWithFlags", self._cudart.cudaStreamNonBlocking)

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
        """Record what `work` queues (cudaStreamBeginCapture) without running it; an error inside ends the recording."""
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


def address_of(array: NDArray[Any]) -> int:  # Any: of any dtype
    """Return where an array's memory begins."""
    return array.__array_interface__["data"][0]


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


def open_cuda(cudart: Any = None, index: int = 0) -> CudaBuffers:  # Any: cuda-bindings are untyped
    """Return the device's buffers after asking the driver whether there is a device.

    TensorRT's runtime crashes the process where there is none, so this comes before it.

    Raises:
        LightDepthError: cuda-bindings missing, no driver, no GPU, or none of that index.
    """
    cudart = cudart or load_cudart()
    status, count = cudart.cudaGetDeviceCount()
    if int(status) != 0 or not count:
        label = getattr(status, "name", f"error {int(status)}") if int(status) else "no device"
        if label == "cudaErrorInsufficientDriver":
            label += ": no driver, or one older than cuda-bindings"
        raise LightDepthError(
            f"CUDA finds no GPU here ({label}); look at nvidia-smi (where it says CUDA 12: pip install "
            "'cuda-bindings==12.*' 'onnxruntime-gpu<1.27'), or run an ONNX model with --device cpu."
        )
    if index >= count:
        raise LightDepthError(
            f"There is no cuda:{index} here; CUDA finds {count} GPU{'s' * (count > 1)}, from cuda:0 on."
        )
    return CudaBuffers(cudart, index)
