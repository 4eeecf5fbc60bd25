"""A CUDA device, its memory and copies, by NVIDIA's cuda-bindings: no torch, no pycuda."""

from __future__ import annotations

import ctypes
import importlib
import threading
import weakref
from collections.abc import Callable, Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from ..errors import LightDepthError

__all__ = ["RECORDING", "CudaDevice", "GpuInfo", "StagedTensors", "load_cudart", "open_cuda"]

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


class CudaDevice:
    """The GPU of an index, over `cuda.bindings.runtime`; every status is checked."""

    def __init__(self, cudart: Any, index: int = 0) -> None:  # Any: cuda-bindings are untyped
        self.cudart, self.index = cudart, index

    def activate(self) -> None:
        """Call cudaSetDevice, which holds for the calling thread alone: every thread does so before its other calls."""
        self.call("cudaSetDevice", self.index)

    def gpu(self) -> GpuInfo:
        """Describe the device."""
        properties = self.call("cudaGetDeviceProperties", self.index)
        name = properties.name.decode() if isinstance(properties.name, bytes) else str(properties.name)
        return GpuInfo(name.rstrip("\0"), f"sm{properties.major}{properties.minor}")

    def pci_bus_id(self) -> str:
        """Return the device's address on the bus, by which NVIDIA's other libraries know it."""
        return self.call("cudaDeviceGetPCIBusId", _BUS_ID_BYTES, self.index).decode().rstrip("\0")

    def capture(self, stream: Any, work: Callable[[], None]) -> Any:  # Any: opaque handles, here and below
        """Record what `work` queues (cudaStreamBeginCapture) without running it; an error inside ends the recording."""
        mode = self.cudart.cudaStreamCaptureMode.cudaStreamCaptureModeThreadLocal
        self.call("cudaStreamBeginCapture", stream, mode)
        try:
            work()
        except BaseException:
            with suppress(LightDepthError):  # an invalidated capture ends with an error of its own
                self.call("cudaGraphDestroy", self.call("cudaStreamEndCapture", stream))
            raise
        graph = self.call("cudaStreamEndCapture", stream)
        try:
            return self.call("cudaGraphInstantiate", graph, 0)
        finally:
            self.call("cudaGraphDestroy", graph)

    def call(self, name: str, *arguments: Any) -> Any:
        """Call a function of the CUDA runtime; return its value, or raise its error."""
        status, *values = getattr(self.cudart, name)(*arguments)
        if int(status) != 0:
            label = getattr(status, "name", f"error {int(status)}")
            raise LightDepthError(f"CUDA refused {name} ({label}); check the GPU with nvidia-smi and its free memory.")
        return values[0] if values else None


class StagedTensors:
    """A network's tensors in page-locked host memory and in device memory, and the stream that copies between them.

    `arrays` and `addresses` are by the tensors' names, the input first.

    Args:
        cuda: the device.
        resources: frees the stream and the device memory; host memory goes when nothing views it any more.
    """

    def __init__(self, cuda: CudaDevice, resources: ExitStack) -> None:
        self._call, self._cudart = cuda.call, cuda.cudart
        # The default stream doesn't wait for this one: its work would end a recording. Any: an opaque handle, which
        # int() turns into TensorRT's.
        self.stream: Any = self._call("cudaStreamCreateWithFlags", self._cudart.cudaStreamNonBlocking)
        resources.callback(self._call, "cudaStreamDestroy", self.stream)
        self.arrays: dict[str, NDArray[Any]] = {}  # Any: float32, or a frame's uint8
        self.addresses: dict[str, int] = {}
        resources.callback(self.arrays.clear)

    def allocate(self, name: str, shape: tuple[int, ...], dtype: DTypeLike, resources: ExitStack) -> None:
        """Allocate a tensor for the largest batch; cudaFreeHost follows when nothing views its host memory any more."""
        size_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
        address = int(self._call("cudaMallocHost", size_bytes))
        memory = (ctypes.c_uint8 * size_bytes).from_address(address)  # every view of the array keeps this alive
        weakref.finalize(memory, self._cudart.cudaFreeHost, address).atexit = False  # the process frees it by itself
        self.arrays[name] = np.ctypeslib.as_array(memory).view(dtype).reshape(shape)
        self.addresses[name] = int(self._call("cudaMalloc", size_bytes))
        resources.callback(self._call, "cudaFree", self.addresses[name])

    def staging(self, count: int) -> NDArray[Any] | None:
        """Return the input's host memory for a batch; None past the largest, and once all was freed."""
        image = next(iter(self.arrays.values()), None)
        return None if image is None or count > len(image) else image[:count]

    def stage(self, batch: NDArray[Any], smallest: int, otherwise: str = "") -> None:
        """Copy a batch into `staging`, unless the caller wrote it there.

        Raises:
            LightDepthError: another shape or type, or fewer than `smallest`; `otherwise` says what else can be done.
        """
        image = next(iter(self.arrays.values()))
        staging, largest = image[: len(batch)], len(image)
        if batch.dtype != image.dtype or batch.shape != staging.shape or len(batch) < smallest:
            shape = (f"{smallest}" if smallest == largest else f"{smallest}..{largest}", *map(str, image.shape[1:]))
            raise LightDepthError(
                f"This model takes {image.dtype} ({', '.join(shape)}), got {batch.dtype} {batch.shape}; preprocess "
                f"with lightdepth_runtime.images.preprocess{otherwise}."
            )
        if _address_of(batch) != _address_of(staging) or not batch.flags.c_contiguous:
            np.copyto(staging, batch)

    def copy_in(self, size: int) -> None:
        """Queue the copy of a batch to the device."""
        to_device = self._cudart.cudaMemcpyKind.cudaMemcpyHostToDevice
        name = next(iter(self.arrays))
        host = self.arrays[name][:size]
        self._call("cudaMemcpyAsync", self.addresses[name], _address_of(host), host.nbytes, to_device, self.stream)

    def copy_out(self, names: Iterable[str], size: int) -> None:
        """Queue the copies of outputs to the host."""
        to_host = self._cudart.cudaMemcpyKind.cudaMemcpyDeviceToHost
        for name in names:
            host = self.arrays[name][:size]
            self._call("cudaMemcpyAsync", _address_of(host), self.addresses[name], host.nbytes, to_host, self.stream)

    def synchronize(self) -> None:
        """Wait for the stream."""
        self._call("cudaStreamSynchronize", self.stream)

    def results(self, names: Iterable[str], size: int) -> list[NDArray[np.float32]]:
        """Wait for the stream; return outputs in memory of their own, since the staging memory is the next frame's."""
        self.synchronize()
        return [self.arrays[name][:size].copy() for name in names]


def _address_of(array: NDArray[Any]) -> int:  # Any: of any dtype
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


def open_cuda(cudart: Any = None, index: int = 0) -> CudaDevice:  # Any: cuda-bindings are untyped
    """Return a device after asking the driver whether it is there.

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
    return CudaDevice(cudart, index)
