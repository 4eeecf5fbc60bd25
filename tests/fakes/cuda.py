# ruff: noqa: N802, N815  the fake has CUDA's own names
"""CUDA's runtime without a GPU, by the names of cuda-bindings; `test_device_buffers` holds them to the real ones.

Work is queued on a stream and done when the stream is synchronised, as a GPU does it, so a result that is read too
early is a stale one.
"""

import ctypes
import enum
import itertools
import sys
import threading
import types


class Status(enum.IntEnum):
    cudaSuccess = 0
    cudaErrorUnknown = 999


class FakeCudart:
    """Host memory that plays a device's; counts what lives, and fails where told."""

    cudaStreamNonBlocking = 1
    cudaMemcpyKind = types.SimpleNamespace(cudaMemcpyHostToDevice=1, cudaMemcpyDeviceToHost=2)
    cudaStreamCaptureMode = types.SimpleNamespace(cudaStreamCaptureModeThreadLocal=1)

    def __init__(self, name=b"Fake GPU", capability=(8, 7), gpus=1):
        self._name, self._capability, self._gpus = name, capability, gpus
        self._devices = {}  # by thread
        self._live, self._queues, self._graphs = {}, {}, {}
        self._capturing = None
        self._numbers = itertools.count(1)
        self._failing = {}
        self._calls = []

    def _enter(self, function):
        if function != "cudaFreeHost":  # page-locked memory is no device's
            assert threading.get_ident() in self._devices, f"{function} in a thread that chose no device"
        self._calls.append(function)
        left = self._failing.get(function)
        if left is None:
            return Status.cudaSuccess
        self._failing[function] = left - 1
        return Status.cudaErrorUnknown if left <= 0 else Status.cudaSuccess

    def _add(self, function, value):
        status = self._enter(function)
        if status:
            return status, None
        handle = next(self._numbers)
        self._live[handle] = value
        return status, handle

    def _remove(self, function, handle):
        status = self._enter(function)
        assert self._live.pop(handle, None) is not None, f"{function} of {handle}, which doesn't live"
        return (status,)

    def _memory(self, function, size):
        status = self._enter(function)
        if status:
            return status, None
        memory = ctypes.create_string_buffer(size)
        self._live[ctypes.addressof(memory)] = memory
        return status, ctypes.addressof(memory)

    def _queue(self, stream, work):
        if self._capturing is not None:
            self._capturing.append(work)
        else:
            self._queues[stream].append(work)

    def cudaGetDeviceCount(self):
        return Status.cudaSuccess, self._gpus

    def cudaSetDevice(self, device):
        assert 0 <= device < self._gpus
        self._devices[threading.get_ident()] = device
        return (Status.cudaSuccess,)

    def cudaGetDeviceProperties(self, device):
        major, minor = self._capability
        return Status.cudaSuccess, types.SimpleNamespace(name=self._name, major=major, minor=minor)

    def cudaDeviceGetPCIBusId(self, length, device):
        return Status.cudaSuccess, f"0000:{65 - device:02}:00.0".encode().ljust(length, b"\0")

    def cudaMalloc(self, size):
        return self._memory("cudaMalloc", size)

    def cudaMallocHost(self, size):
        return self._memory("cudaMallocHost", size)

    def cudaFree(self, address):
        return self._remove("cudaFree", address)

    def cudaFreeHost(self, address):
        return self._remove("cudaFreeHost", address)

    def cudaStreamCreateWithFlags(self, flags):
        assert flags == self.cudaStreamNonBlocking
        status, stream = self._add("cudaStreamCreateWithFlags", "stream")
        self._queues[stream] = []
        return status, stream

    def cudaStreamDestroy(self, stream):
        return self._remove("cudaStreamDestroy", stream)

    def cudaMemcpyAsync(self, target, source, size, kind, stream):
        status = self._enter("cudaMemcpyAsync")
        if not status:
            self._queue(stream, lambda: ctypes.memmove(target, source, size))
        return (status,)

    def cudaStreamSynchronize(self, stream):
        status = self._enter("cudaStreamSynchronize")
        assert self._capturing is None, "a synchronisation would break the recording"
        work, self._queues[stream] = self._queues[stream], []
        for step in work:
            step()
        return (status,)

    def cudaStreamBeginCapture(self, stream, mode):
        status = self._enter("cudaStreamBeginCapture")
        self._capturing = None if status else []
        return (status,)

    def cudaStreamEndCapture(self, stream):
        steps, self._capturing = self._capturing, None
        return self._add("cudaStreamEndCapture", steps)

    def cudaGraphInstantiate(self, graph, flags):
        return self._add("cudaGraphInstantiate", self._live[graph])

    def cudaGraphDestroy(self, graph):
        return self._remove("cudaGraphDestroy", graph)

    def cudaGraphLaunch(self, graph, stream):
        status = self._enter("cudaGraphLaunch")
        self._queues[stream].extend(self._live[graph])
        return (status,)

    def cudaGraphExecDestroy(self, graph):
        return self._remove("cudaGraphExecDestroy", graph)


def install_cuda(monkeypatch, cudart):
    """Put the fake in the place of cuda-bindings."""
    bindings = types.ModuleType("cuda.bindings.runtime")
    for name in dir(cudart):
        if name.startswith("cuda"):
            setattr(bindings, name, getattr(cudart, name))
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", bindings)
    return bindings
