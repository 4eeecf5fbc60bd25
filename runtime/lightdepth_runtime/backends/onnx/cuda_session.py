"""ONNX Runtime on CUDA at its floor: bound buffers that are allocated once, one stream, one recorded graph."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError, first_line
from ..device_buffers import RECORDING, CudaDevice, StagedTensors

if TYPE_CHECKING:
    import onnxruntime

    # Opens a session on CUDA with options of the provider; raises ONNX Runtime's own errors.
    OpenSession = Callable[[Mapping[str, str]], onnxruntime.InferenceSession]

__all__ = ["CudaSession", "OpenShapeError", "open_cuda_session", "records_rightly"]

PROVIDER = "CUDAExecutionProvider"
_CLOSED = "This model was closed; load it again."
# Earlier ones record, for each Concat of unequal inputs, a copy from host memory that they give to other work at once:
# the next recording of the session overwrites it, and depth is wrong from then on (microsoft/onnxruntime#32121).
_FIRST_TO_RECORD_RIGHTLY = (1, 31)
_DTYPES = {"tensor(float)": np.dtype(np.float32), "tensor(uint8)": np.dtype(np.uint8)}


class OpenShapeError(LightDepthError):
    """A graph whose tensors have sizes that are only known when it runs, so that no buffer can be bound for them."""


class CudaSession:
    """A session whose tensors stay where they are: copy in, network and copy out are queued on one stream.

    Any thread may run it, one at a time. ONNX Runtime records the graph anew for each thread and keeps what it recorded
    and the thread's handles until the session ends. So the thread that opened it runs its own frames, and those of all
    others run in one thread that is started for them, which costs some 0.02 ms a frame.

    Args:
        open_session: opens it; nobody else may hold what it returns.
        cuda: the GPU that `options` name.
        options: of the provider; the stream comes to them.
        largest_batch: of a graph with an open batch; one with a fixed batch takes that.

    Raises:
        OpenShapeError: another dimension than the batch is open, or a tensor is neither float32 nor uint8.
        LightDepthError: memory runs out, or the session can't be opened.
    """

    def __init__(
        self, open_session: OpenSession, cuda: CudaDevice, options: Mapping[str, str], *, largest_batch: int
    ) -> None:
        from concurrent.futures import ThreadPoolExecutor  # here, since it takes longer to import than all of this

        self._cuda = cuda
        self._lock = threading.Lock()
        self._opener = threading.local()
        self._opener.is_this_thread = True
        self._others = ThreadPoolExecutor(1, "lightdepth-gpu")  # its thread starts with the first frame
        # IOBinding and RunOptions by whether the opening thread runs them, and by batch size. Any: untyped
        self._bound: dict[tuple[bool, int], tuple[Any, Any]] = {}
        # No attribute of this object, so that what ends it doesn't keep the object alive. Any: None once closed
        loaded: Any = SimpleNamespace(session=None)
        self._loaded = loaded
        cuda.activate()
        with RECORDING, ExitStack() as resources:
            self._tensors = StagedTensors(cuda, resources)
            resources.callback(setattr, loaded, "session", None)  # after its bindings, before its stream
            resources.callback(self._bound.clear)
            loaded.session = open_session({**options, "user_compute_stream": str(int(self._tensors.stream))})
            # Plain values, since a node keeps its session, and an error below keeps these variables.
            nodes = [loaded.session.get_inputs()[0], *loaded.session.get_outputs()]
            nodes = [(node.name, node.type, node.shape) for node in nodes]
            self._input, _, (fixed, *_) = nodes[0]
            self._smallest, largest = (fixed, fixed) if isinstance(fixed, int) else (1, largest_batch)
            for name, kind, (batch, *size) in nodes:
                if not all(isinstance(pixels, int) for pixels in size):
                    raise OpenShapeError(f"{name} has the open shape {[batch, *size]}")
                if kind not in _DTYPES:
                    raise OpenShapeError(f"{name} is {kind}")
                shape = (batch if isinstance(batch, int) else largest, *size)
                self._tensors.allocate(name, shape, _DTYPES[kind], resources)
            self._resources = resources.pop_all()

    @property
    def session(self) -> onnxruntime.InferenceSession:
        """The session inside."""
        assert self._loaded.session is not None, "asked for before it is closed"
        return self._loaded.session

    def warm_up(self) -> None:
        """Run a black batch, the smallest, in this thread and in that of all others, so that both have recorded it."""
        staging = self.empty_input(self._smallest)
        assert staging is not None, "the largest batch and less have staging memory"
        staging[...] = 0
        names = list(self._tensors.arrays)[1:]
        self._frame(names, staging)
        self._others.submit(self._frame, names, staging).result()

    def run(self, names: Sequence[str], batch: NDArray[Any]) -> list[NDArray[np.float32]]:  # Any: float32 or uint8
        """Return the named outputs of one batch, in arrays of their own.

        Raises:
            LightDepthError: closed, a batch of another shape or type, or an error of the device.
        """
        if hasattr(self._opener, "is_this_thread"):
            return self._frame(names, batch)
        try:
            # The future has no name here: its error would hold this call, so the future, so itself and the memory.
            return self._others.submit(self._frame, names, batch).result()
        except RuntimeError as error:
            if self._loaded.session is not None:
                raise
            raise LightDepthError(_CLOSED) from error  # shut down

    def _frame(self, names: Sequence[str], batch: NDArray[Any]) -> list[NDArray[np.float32]]:  # Any: see run
        """Do what `run` does, in this thread."""
        with self._lock:
            if self._loaded.session is None:
                raise LightDepthError(_CLOSED)
            self._tensors.stage(batch, self._smallest)
            self._cuda.activate()
            key = hasattr(self._opener, "is_this_thread"), len(batch)
            with nullcontext() if key in self._bound else RECORDING:  # the first run of each records
                return self._run(names, key)

    def empty_input(self, count: int = 1) -> NDArray[Any] | None:  # Any: float32 or uint8
        """Return the staging memory for a batch, which `run` takes without another copy; None past the largest."""
        with self._lock:
            return self._tensors.staging(count)

    def close(self) -> None:
        """Free what was allocated once the device is idle; a second call does nothing."""
        with self._lock, RECORDING:
            if self._loaded.session is None:
                return
            self._cuda.activate()
            with self._resources:
                self._tensors.synchronize()
        self._others.shutdown(wait=False)

    def __del__(self) -> None:
        """Free everything where nobody called `close`."""
        if hasattr(self, "_resources"):
            with suppress(Exception):  # nobody could catch it, and at the interpreter's end modules are gone
                self.close()

    def _run(self, names: Sequence[str], key: tuple[bool, int]) -> list[NDArray[np.float32]]:
        size = key[1]
        if key not in self._bound:
            self._bound[key] = self._bind(size)
        self._tensors.copy_in(size)
        try:
            self.session.run_with_iobinding(*self._bound[key])
        except Exception as error:  # onnxruntime raises its own classes, which it doesn't export by name
            del self._bound[key]  # what wasn't recorded is bound and recorded again
            # Whoever keeps the error would keep the session in its frames, and `close` destroys the stream after it.
            traceback.clear_frames(error.__traceback__)
            reason = first_line(error)
            raise LightDepthError(
                f"ONNX Runtime failed on a frame ({reason}); the GPU may be out of memory."
            ) from error
        self._tensors.copy_out(names, size)
        return self._tensors.results(names, size)

    def _bind(self, size: int) -> tuple[Any, Any]:
        """Bind a batch size to the buffers; each size has a recorded graph of its own."""
        import onnxruntime

        binding = self.session.io_binding()
        device_id = int(self.session.get_provider_options()[PROVIDER]["device_id"])
        for name, array in self._tensors.arrays.items():
            bind = binding.bind_input if name == self._input else binding.bind_output
            shape = [size, *array.shape[1:]]
            # The provider's option, not this number, chooses the GPU; "cuda", 0 says that the address is a device's.
            bind(name, "cuda", device_id, array.dtype.type, shape, self._tensors.addresses[name])
        options = onnxruntime.RunOptions()
        options.add_run_config_entry("gpu_graph_id", str(size))
        options.add_run_config_entry("disable_synchronize_execution_providers", "1")  # `_run` does, once
        return binding, options


def open_cuda_session(
    open_session: OpenSession, cuda: CudaDevice, *, largest_batch: int
) -> tuple[CudaSession, str | None]:
    """Open a session over bound buffers and run it on black frames, so that its graph is recorded.

    Args:
        open_session: opens it with the provider's options.
        cuda: the GPU.
        largest_batch: see CudaSession.

    Returns:
        The session, and half a sentence why it has no CUDA graph, or None where it has one.

    Raises:
        OpenShapeError: see CudaSession.
        LightDepthError: the network can't be opened, fails on this GPU, or isn't all on it.
    """
    options = {"device_id": str(cuda.index)}
    if records_rightly():
        try:
            return _open(open_session, cuda, {**options, "enable_cuda_graph": "1"}, largest_batch), None
        except OpenShapeError:
            raise
        except LightDepthError as error:
            words = first_line(error.__cause__ or error)
            reason = f"without a CUDA graph, since ONNX Runtime can't record one ({words})"
    else:
        first = ".".join(map(str, _FIRST_TO_RECORD_RIGHTLY))
        reason = f"without a CUDA graph, which ONNX Runtime before {first} records wrongly"
    return _open(open_session, cuda, options, largest_batch), reason


def records_rightly() -> bool:
    """Tell whether a recording of the installed ONNX Runtime gives right depth at each frame."""
    import onnxruntime

    return tuple(int(part) for part in onnxruntime.__version__.split(".")[:2]) >= _FIRST_TO_RECORD_RIGHTLY


def _open(open_session: OpenSession, cuda: CudaDevice, options: Mapping[str, str], largest_batch: int) -> CudaSession:
    bound = CudaSession(open_session, cuda, options, largest_batch=largest_batch)
    try:
        bound.warm_up()
    except BaseException:
        bound.close()
        raise
    return bound
