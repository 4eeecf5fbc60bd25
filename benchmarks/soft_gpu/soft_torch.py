"""PyTorch on a GPU that isn't there: what lies on "cuda" is in the host's memory, and the CPU's kernels compute it.

All above the kernels is PyTorch's own: autograd, autocast, gradient scaling, the allocator, streams, pinned memory. A
CUDA graph is a list of operations here, which is run again. Operations are counted, and so is what makes the host wait.
"""

from __future__ import annotations

import ctypes
import threading
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

__all__ = ["OPERATIONS", "WAITS", "install"]

OPERATIONS: Counter[str] = Counter()
WAITS: Counter[str] = Counter()  # by what waited, and where it was called

# PyTorch's own kernels of these only look at memory, or allocate it.
_KEPT = {
    "_pin_memory", "_reshape_alias", "_unsafe_view", "alias", "as_strided", "as_strided_", "empty.memory_format",
    "empty_strided", "is_pinned", "is_set_to", "record_stream", "resize_", "set_", "set_.source_Storage",
    "set_.source_Storage_storage_offset", "set_.source_Tensor", "squeeze", "unfold", "unsqueeze", "view",
    "view.dtype", "view_as_complex", "view_as_real",
}  # fmt: skip
_LIBRARIES_OWN = ("_cslt", "_cuda", "_cudnn", "_efficient", "_fft", "_flash", "_thnn", "cudnn_", "miopen_")
_OTHER_KINDS = ("_test", "fake_", "nested", "quantize", "sparse")
# Their results are the host's, or of a size that the host must know.
_WAITING = {
    "_unique2", "bincount", "equal", "is_nonzero", "masked_select", "nonzero", "unique_consecutive", "unique_dim",
}  # fmt: skip
_FRAMES_SHOWN = 4

_libraries: list[torch.library.Library] = []  # an operation is replaced as long as its library is kept
# The thread that records a graph, and what it has recorded: operation, arguments on the CPU, results on the GPU.
_recording: tuple[int, list[tuple[Callable[..., Any], Any, Any, list[Tensor]]]] | None = None  # Any: of any operation


def install() -> None:
    """Replace the CUDA kernel of every operation."""
    library = torch.library.Library("aten", "IMPL")
    _libraries.append(library)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that something is replaced is the point
        for qualified in torch._C._dispatch_get_all_op_names():
            space, _, name = qualified.partition("::")
            if space == "aten" and _is_replaced(qualified, name):
                base, _, overload = name.partition(".")
                operation = getattr(getattr(torch.ops.aten, base), overload or "default")
                library.impl(name, _on_the_cpu(operation, name), "CUDA", allow_override=True)
        library.impl("copy_", _copy, "CUDA", allow_override=True)
        library.impl("_local_scalar_dense", _item, "CUDA", allow_override=True)
    torch.backends.cudnn.enabled = False  # its operations have no counterpart on a CPU
    _replace_graphs()
    synchronize = torch.cuda.Stream.synchronize

    def wait(self: torch.cuda.Stream) -> None:
        _note_wait("Stream.synchronize")
        synchronize(self)

    torch.cuda.Stream.synchronize = wait


def _is_replaced(qualified: str, name: str) -> bool:
    base = name.partition(".")[0]
    if base in ("convolution", "convolution_backward"):  # which choose a library by device
        return True
    return (
        name not in _KEPT
        and torch._C._dispatch_has_kernel_for_dispatch_key(qualified, "CUDA")
        and not base.startswith(_LIBRARIES_OWN)
        and not any(word in base for word in _OTHER_KINDS)
    )


def _on_the_cpu(operation: Callable[..., Any], name: str) -> Callable[..., Any]:  # Any: of any operation
    """Return a kernel that computes an operation with the CPU's."""
    base = name.partition(".")[0]

    def kernel(*arguments: Any, **options: Any) -> Any:
        OPERATIONS[base] += 1
        given = _tensors((arguments, options))
        masks = base in ("index", "index_put_") and any(x.dtype == torch.bool for x in given[1:])
        if base in _WAITING or masks:
            _note_wait(base)
        if any(x.device.type == "cpu" and x.ndim for x in given) and not base.startswith(("_fused", "index", "_index")):
            raise RuntimeError(f"Expected all tensors to be on the same device, but {name} got one on the CPU")
        device = next(
            (x.device for x in given if x.device.type == "cuda"), options.get("device") or torch.device("cuda")
        )
        views = {id(x): (x, _host_view(x)) for x in given if x.device.type == "cuda"}

        def to_host(value: Any) -> Any:
            if isinstance(value, Tensor):
                return views[id(value)][1] if id(value) in views else value
            if isinstance(value, torch.device) and value.type == "cuda":
                return torch.device("cpu")
            is_its_generator = isinstance(value, torch.Generator) and value.device.type == "cuda"
            return None if is_its_generator else value

        host_arguments = pytree.tree_map(to_host, arguments)
        host_options = {name: pytree.tree_map(to_host, x) for name, x in options.items() if name != "pin_memory"}
        with torch.no_grad():
            result = operation(*host_arguments, **host_options)
        originals = {}
        for tensor, view in views.values():
            originals[id(view)] = tensor
            if view.shape != tensor.shape:  # a result that it was to be written to
                _host_view(tensor.resize_(view.shape)).copy_(view)

        def to_device(value: Any) -> Any:
            if not isinstance(value, Tensor) or value.device.type != "cpu":
                return value
            return originals[id(value)] if id(value) in originals else _on_the_gpu(value, device)

        result = pytree.tree_map(to_device, result)
        _record(operation, host_arguments, host_options, _tensors(result))
        return result

    return kernel


def _tensors(values: Any) -> list[Tensor]:  # Any: nested values
    return [value for value in pytree.tree_leaves(values) if isinstance(value, Tensor)]


def _copy(target: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    OPERATIONS["copy_"] += 1
    if target.device.type != source.device.type:
        host = target if target.device.type == "cpu" else source
        if not (non_blocking and host.is_pinned()):
            _note_wait(f"copy from {source.device.type} to {target.device.type}")
    views = _host_view(target), _host_view(source)
    with torch.no_grad():
        views[0].copy_(views[1])
    _record(torch.ops.aten.copy_.default, views, {}, [target])
    return target


def _item(tensor: Tensor) -> Any:  # Any: a number
    _note_wait("item")
    return torch.ops.aten._local_scalar_dense.default(_host_view(tensor))


def _host_view(tensor: Tensor) -> Tensor:
    """Return a tensor on the CPU over the same memory; one that is there already as it is."""
    if tensor.device.type == "cpu":
        return tensor
    storage = tensor.untyped_storage()
    if storage.nbytes() == 0:
        return torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype)
    memory = (ctypes.c_char * storage.nbytes()).from_address(storage.data_ptr())
    on_host = torch.frombuffer(memory, dtype=torch.uint8).untyped_storage()
    view = torch.empty(0, dtype=tensor.dtype)
    return view.set_(on_host, tensor.storage_offset(), tensor.size(), tensor.stride())  # pyright: ignore[reportArgumentType, reportCallIssue]  # takes untyped storage too


def _on_the_gpu(tensor: Tensor, device: torch.device) -> Tensor:
    made = torch.empty_strided(tensor.size(), tensor.stride(), dtype=tensor.dtype, device=device)
    if tensor.numel():
        _host_view(made).copy_(tensor)
    return made


def _note_wait(what: str) -> None:
    if _is_recording():
        raise RuntimeError(f"{what} makes the host wait, which no CUDA graph can hold")
    calls = [call for call in traceback.extract_stack() if "/torch/" not in call.filename and __file__ != call.filename]
    where = " < ".join(f"{call.filename.rpartition('/')[2]}:{call.name}" for call in reversed(calls[-_FRAMES_SHOWN:]))
    WAITS[f"{what} in {where}"] += 1


def _is_recording() -> bool:
    return _recording is not None and _recording[0] == threading.get_ident()


def _record(operation: Callable[..., Any], arguments: Any, options: Any, results: list[Tensor]) -> None:
    if _recording is not None and _is_recording():
        _recording[1].append((operation, arguments, options, results))


def _replace_graphs() -> None:
    """Have a CUDA graph run its operations again."""
    graph = torch.cuda.CUDAGraph
    begin, end = graph.capture_begin, graph.capture_end

    def capture_begin(self: Any, *arguments: Any, **options: Any) -> None:  # Any: attributes of our own; PyTorch's
        global _recording
        begin(self, *arguments, **options)
        _recording = threading.get_ident(), []

    def capture_end(self: Any) -> None:
        global _recording
        assert _recording is not None, "ended by the thread that began"
        self.operations, _recording = _recording[1], None
        end(self)

    def replay(self: Any) -> None:
        for operation, arguments, options, results in self.operations:
            with torch.no_grad():
                again = operation(*arguments, **options)
            for result, value in zip(results, _tensors(again), strict=True):
                view = _host_view(result)
                if view.data_ptr() != value.data_ptr():
                    view.copy_(value)

    graph.capture_begin, graph.capture_end, graph.replay = capture_begin, capture_end, replay
