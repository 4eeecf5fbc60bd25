"""TensorRT and TensorRT-RTX on a CUDA device: buffers allocated once, pinned staging, an own stream."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError, without_way_out
from ...spec import ModelSpec
from ..backend import NamedOutputs, tensors_of
from ..device import cuda_index
from ..device_buffers import RECORDING, CudaDevice, StagedTensors, open_cuda
from .engine_file import (
    EngineMisfitError,
    build_command,
    check_engine_fits,
    check_same_network,
    onnx_beside,
    read_engine_sidecar,
    read_plan,
)
from .module import LogLines, collect_log, flavour_of, load_tensorrt

__all__ = ["Rebuild", "TensorRTBackend", "open_engine"]

Rebuild = Callable[[Path, Path], object]  # (ONNX file, engine to write)


class TensorRTBackend(NamedOutputs):
    """A deserialized engine with its context and buffers; for one thread at a time.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        plan: the engine's bytes, checked before (`engine_file.read_plan`).
        spec: of the network inside.
        cuda: the device, opened before: TensorRT crashes where there is none.
        cuda_graph: record a frame's work once and replay it: less CPU work a frame. An engine that can't be recorded
            runs without, and `device_reason` says so.
        device: its name, "cuda" or "cuda:N".

    Raises:
        LightDepthError: TensorRT refuses the plan, its tensors aren't the spec's, or memory runs out.
    """

    def __init__(
        self,
        trt: Any,
        plan: bytes,
        spec: ModelSpec,
        cuda: CudaDevice,
        *,
        cuda_graph: bool = True,
        device: str = "cuda",
    ) -> None:
        self.spec, self.name, self.device = spec, flavour_of(trt), device
        self.device_reason = "as asked for"
        self._lock = threading.Lock()
        cuda.activate()
        self._trt, self._cuda, self._use_graph = trt, cuda, cuda_graph
        # By the outputs that are fetched. Any: the device's opaque handle
        self._graphs: dict[tuple[str, ...], Any] = {}
        self._batch_size = 0  # of the context; 0 makes the next frame set it again
        # Not attributes of this object, so that what frees them doesn't keep it alive. Any: NVIDIA ships no types.
        loaded: Any = SimpleNamespace(runtime=None, engine=None, context=None)
        self._loaded = loaded
        with RECORDING, ExitStack() as resources, collect_log(trt) as (logger, log):
            # Any: NVIDIA ships no types. The three must outlive each other in this order.
            loaded.runtime = trt.Runtime(logger)
            resources.callback(setattr, loaded, "runtime", None)
            loaded.engine = loaded.runtime.deserialize_cuda_engine(plan)
            resources.callback(setattr, loaded, "engine", None)
            if loaded.engine is None:
                raise EngineMisfitError(
                    f"TensorRT can't load the engine of {spec.name}: {log.reason()}. Build it again."
                )
            self._smallest, self.largest_batch = _batch_range(trt, loaded.engine, spec)
            loaded.context = _start(trt, loaded.engine, open_batch=self._smallest != self.largest_batch)
            resources.callback(setattr, loaded, "context", None)
            if loaded.context is None:
                raise LightDepthError(f"TensorRT can't start the engine of {spec.name}: {log.reason()}.")
            self._tensors = StagedTensors(cuda, resources)
            for name, (shape, dtype) in tensors_of(spec).items():
                self._tensors.allocate(name, (self.largest_batch, *shape), dtype, resources)
                if not loaded.context.set_tensor_address(name, self._tensors.addresses[name]):
                    raise LightDepthError(f"TensorRT refuses the buffer of tensor {name!r}; build the engine again.")
            self._resources = resources.pop_all()

    def _run(self, names: Sequence[str], batch: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """Run one batch, or a frame (1, H, W, 3) with preprocessing inside; after an error the next starts afresh."""
        with self._lock, collect_log(self._trt) as (_, log):
            if self._loaded.context is None:
                raise LightDepthError("This model was closed; load it again.")
            self._cuda.activate()
            self._tensors.stage(batch, self._smallest, ", or build it with --batch MIN,OPT,MAX")
            try:
                return self._frame(tuple(names), len(batch), log)
            except BaseException:
                self._forget_shape()
                raise

    def empty_input(self, count: int = 1) -> NDArray[np.float32] | None:
        """Return the staging memory for a batch, which `run` takes without another copy."""
        return self._tensors.staging(count)

    def close(self) -> None:
        """Wait for the device, then free everything; a second call does nothing."""
        with self._lock, RECORDING:
            if self._loaded.context is None:
                return
            self._cuda.activate()
            with self._resources:
                self._forget_shape()

    def __del__(self) -> None:
        """Free everything where nobody called `close`."""
        if hasattr(self, "_resources"):
            with suppress(Exception):  # nobody could catch it, and at the interpreter's end modules are gone
                self.close()

    def _frame(self, names: tuple[str, ...], size: int, log: LogLines) -> list[NDArray[np.float32]]:
        if size != self._batch_size:
            self._set_batch_size(size, log)
        graph = self._graphs.get(names)
        if graph is not None:
            self._cuda.call("cudaGraphLaunch", graph, self._tensors.stream)
        else:
            self._enqueue(names, size, log)
        outputs = self._tensors.results(names, size)
        if graph is None and self._use_graph:  # the frame just run was the warm-up that a capture needs
            self._capture(names, size, log)
        return outputs

    def _capture(self, names: tuple[str, ...], size: int, log: LogLines) -> None:
        try:
            self._graphs[names] = self._cuda.capture(self._tensors.stream, lambda: self._enqueue(names, size, log))
        except LightDepthError as error:
            self._use_graph = False
            self.device_reason = f"without a CUDA graph, since this engine can't be recorded ({without_way_out(error)})"
            self._forget_shape()

    def _enqueue(self, names: tuple[str, ...], size: int, log: LogLines) -> None:
        """Queue the copy in, the network, and the copies out."""
        self._tensors.copy_in(size)
        if not self._loaded.context.execute_async_v3(int(self._tensors.stream)):
            raise LightDepthError(f"TensorRT failed on a frame: {log.reason()}; the next frame starts afresh.")
        self._tensors.copy_out(names, size)

    def _set_batch_size(self, size: int, log: LogLines) -> None:
        self._forget_shape()
        shape = (size, *self._tensors.arrays[self.spec.input_name].shape[1:])
        if not self._loaded.context.set_input_shape(self.spec.input_name, shape):
            raise LightDepthError(f"TensorRT refuses the input shape {shape}: {log.reason()}.")
        self._batch_size = size

    def _forget_shape(self) -> None:
        """Let the stream run dry and drop what belongs to one batch size."""
        self._batch_size = 0
        graphs, self._graphs = self._graphs, {}
        with suppress(LightDepthError):  # called on the way out of an error, which is the one to report
            self._tensors.synchronize()
        for graph in graphs.values():
            with suppress(LightDepthError):
                self._cuda.call("cudaGraphExecDestroy", graph)


def _start(trt: Any, engine: Any, *, open_batch: bool) -> Any:  # Any: NVIDIA ships no types
    """Return a context of the engine, None where it can't be had.

    TensorRT-RTX runs a new size with makeshift kernels while those for that size are being compiled. A frame that is
    recorded meanwhile would keep the makeshift ones for good, so here the others are compiled first.
    """
    if flavour_of(trt) != "tensorrt_rtx" or not open_batch:
        return engine.create_execution_context()
    runtime_config = engine.create_runtime_config()
    runtime_config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    return engine.create_execution_context(runtime_config)


def _batch_range(trt: Any, engine: Any, spec: ModelSpec) -> tuple[int, int]:  # Any: NVIDIA ships no types
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


def open_engine(
    path: Path,
    device: str = "auto",
    threads: int | None = None,  # noqa: ARG001  the engine's work is the GPU's
    *,
    rebuild: Rebuild | None = None,
    cuda_graph: bool = True,
) -> TensorRTBackend:
    """Open an engine with the JSON beside it.

    Args:
        path: the engine, or the ONNX file beside it (`m.fp16.onnx` for `m.fp16.engine`).
        device: "auto", "cuda" or "tensorrt", which all mean the first GPU, or "cuda:N".
        threads: accepted for the sake of the other backends.
        rebuild: called with the ONNX file beside the engine and the engine's path where the engine can't be used here,
            like `lightdepth_export.engine.rebuild_engine`; None refuses instead.
        cuda_graph: see TensorRTBackend.

    Raises:
        LightDepthError: not for this machine, older than its ONNX file, damaged, TensorRT missing, or no GPU.
    """
    index = 0 if device in ("auto", "tensorrt") else cuda_index(device)
    if index is None:
        raise LightDepthError(f"An engine runs on cuda, not {device!r}; open the ONNX model instead.")
    if path.suffix not in (".engine", ".onnx"):
        raise LightDepthError(f"TensorRT opens .engine files, not {path.name!r}; export the model first.")
    named_onnx = path if path.suffix == ".onnx" and path.is_file() else None
    path = path.with_suffix(".engine")
    try:
        return _open(path, index, cuda_graph, named_onnx)
    except EngineMisfitError:  # also: no engine there at all
        onnx = named_onnx or _source_of(path)
        if rebuild is None or not onnx.is_file():
            raise
    rebuild(onnx, path)
    return _open(path, index, cuda_graph, named_onnx)


def _source_of(path: Path) -> Path:
    try:
        return onnx_beside(path, read_engine_sidecar(path))
    except EngineMisfitError:
        return path.with_suffix(".onnx")


def _open(path: Path, index: int, cuda_graph: bool, onnx: Path | None) -> TensorRTBackend:
    if not path.is_file():
        command = build_command(path.with_suffix(".onnx"))
        raise EngineMisfitError(f"No engine at {path}; build it on this machine with: {command}")
    sidecar = read_engine_sidecar(path)
    check_same_network(path, sidecar, onnx)
    plan = read_plan(path, sidecar)
    trt = load_tensorrt(sidecar.flavour)
    cuda = open_cuda(index=index)
    check_engine_fits(path, sidecar, flavour=flavour_of(trt), version=trt.__version__, gpu=cuda.gpu())
    device = f"cuda:{index}" if index else "cuda"
    return TensorRTBackend(trt, plan, sidecar.spec, cuda, cuda_graph=cuda_graph, device=device)
