"""ONNX files behind the Backend protocol, in ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ...errors import LightDepthError
from ...spec import SPEC_KEY, ModelSpec
from ..backend import NamedOutputs, spec_of_metadata, tensors_of
from .session import LARGEST_BATCH, OnnxGraph, open_session

__all__ = ["GraphRunner", "OnnxBackend", "check_tensors", "open_graph", "open_onnx"]

Spec = TypeVar("Spec")


class GraphRunner(Generic[Spec]):
    """Runs a graph until it is closed, and as many images of a batch at once as the graph takes."""

    def __init__(self, graph: OnnxGraph, spec: Spec) -> None:
        self.spec = spec
        self.name, self.device, self.device_reason = graph.library, graph.device, graph.reason
        self._graph: OnnxGraph | None = graph
        batch = next(iter(graph.inputs.values()))[0]
        self.largest_batch = 1 if isinstance(batch, int) else LARGEST_BATCH
        self._most_at_once = batch if isinstance(batch, int) else LARGEST_BATCH

    def _run(self, names: Sequence[str], batch: NDArray[Any]) -> list[NDArray[np.float32]]:
        most = self._most_at_once
        if len(batch) > most:
            each = [self._run(names, batch[start : start + most]) for start in range(0, len(batch), most)]
            return [np.concatenate(arrays) for arrays in zip(*each, strict=True)]
        graph = self._graph  # another thread may close it meanwhile
        if graph is None:
            raise LightDepthError("This model was closed; load it again.")
        return graph.run(names, batch)

    def empty_input(self, count: int = 1) -> NDArray[np.float32] | None:
        """Return memory for a batch that `run` takes without another copy, or None where any array is as good."""
        graph = self._graph
        return None if graph is None else graph.empty_input(count)

    def close(self) -> None:
        """Drop the graph and free its buffers; a second call does nothing."""
        graph, self._graph = self._graph, None
        if graph is not None:
            graph.close()


class OnnxBackend(GraphRunner[ModelSpec], NamedOutputs):
    """A graph of ours."""


def open_graph(path: Path, device: str, threads: int | None) -> OnnxGraph:
    """Open any ONNX file in OpenVINO where that is the device, else in ONNX Runtime.

    Raises:
        LightDepthError: the library missing, a damaged file, a provider that isn't there, or no such GPU.
    """
    if device == "openvino":
        from ..openvino import open_openvino

        return open_openvino(path, threads)
    return open_session(path, device, threads)


def open_onnx(path: Path, device: str, threads: int | None) -> OnnxBackend:
    """Open an ONNX file with the spec in its metadata.

    Raises:
        LightDepthError: those of `open_graph`, no LightDepth metadata, another graph's, or INT8 for TensorRT on a CPU.
    """
    graph = open_graph(path, device, threads)
    try:
        spec = spec_of_metadata(graph.metadata.get(SPEC_KEY), path)
        tensors = tensors_of(spec)
        size, _ = tensors.pop(spec.input_name)
        check_tensors(path, graph, spec.input_name, ("B", *size), tensors, fix="export it again")
        if graph.device == "cpu":
            _check_for_cpu(path, spec)
    except LightDepthError:
        graph.close()
        raise
    return OnnxBackend(graph, spec)


def check_tensors(
    path: Path, graph: OnnxGraph, image: str, size: Sequence[object], outputs: Iterable[str], *, fix: str
) -> None:
    """Refuse a graph that isn't its spec's.

    Raises:
        LightDepthError: it has other inputs than `image`, not all `outputs`, or another size; a size may be open in the
            graph or, as what is no int, in the spec. `fix` says what to do.
    """
    shape = graph.inputs.get(image, ())
    sizes = zip(shape, size, strict=False)
    fits = len(shape) == len(size) and all(a == b for a, b in sizes if isinstance(a, int) and isinstance(b, int))
    if not fits or list(graph.inputs) != [image] or not set(outputs) <= set(graph.outputs):
        raise LightDepthError(
            f"{path} takes {dict(graph.inputs)} and gives {list(graph.outputs)}, but its spec says {image!r} of "
            f"{list(size)} and {' and '.join(map(repr, outputs))}; {fix}."
        )


def _check_for_cpu(path: Path, spec: ModelSpec) -> None:
    """Refuse INT8 that was made for TensorRT: what a CPU makes of it depends on the CPU.

    Symmetric activations and 8-bit weights overflow on x86 CPUs without VNNI, and in OpenVINO cost 7 % of AbsRel.
    """
    if spec.quantized_for == "tensorrt":
        raise LightDepthError(
            f"{path.name} is INT8 for TensorRT, and a CPU would compute wrong depth with it; open the .int8.cpu.onnx "
            "of the same export, or build an engine with python -m lightdepth_export.engine."
        )
