"""Run a graph that is still in memory, behind the Backend protocol."""

import onnx

from lightdepth_runtime.backends.onnx.backend import OnnxBackend
from lightdepth_runtime.backends.onnx.session import graph_of

from .metadata import spec_of

__all__ = ["open_graph"]


def open_graph(model: onnx.ModelProto, *, fuse: bool = True, threads: int | None = None) -> OnnxBackend:
    """Open a graph in ONNX Runtime on the CPU.

    Args:
        model: with its spec inside.
        fuse: let ONNX Runtime rewrite the graph for its kernels; without, every operator is computed as written, INT8
            pairs in float.
        threads: of the CPU; None leaves it to ONNX Runtime.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors only
    if threads is not None:
        options.intra_op_num_threads = threads
    if not fuse:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return OnnxBackend(graph_of(session), spec_of(model))
