"""Simulated binary16: what an FP16 graph computes, on a CPU that has no FP16 arithmetic.

ONNX Runtime's CPU kernels widen FP16 to FP32 and round only weights, which understates the error about twentyfold. Here
each FP16 result is rounded to binary16 by itself, with sums kept in FP32. TensorRT fuses operators and so rounds less
often, and some of its kernels sum in FP16: this is an estimate of FP16 accuracy, not a measurement of TensorRT's.
"""

import copy
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .backend import open_graph
from .fp16 import FP16_MAX
from .metadata import embed_spec, spec_of

__all__ = ["OverflowMargin", "measure_overflow", "simulate_fp16"]

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)  # keeps an all-zero network from dividing by zero
RANGE_OUTPUT = "largest_activations"


@dataclass(frozen=True)
class OverflowMargin:
    """The largest |value| that the FP16 part of a network takes in FP32, against binary16's largest."""

    largest_activation: float
    tensor: str
    images: int
    limit: float = FP16_MAX

    @property
    def margin(self) -> float:
        """How many times the largest activation fits under the limit; under 1 the network overflows."""
        return self.limit / max(self.largest_activation, SMALLEST_NORMAL)

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the fields and the margin."""
        return {**asdict(self), "margin": self.margin}


def simulate_fp16(fp16: onnx.ModelProto) -> onnx.ModelProto:
    """Return an FP32 graph that rounds to binary16 wherever the FP16 graph holds a binary16 value.

    Every FP16 output becomes an FP32 one followed by casts to FP16 and back. Values past 65504 turn infinite, as they
    would in FP16.
    """
    model = onnx.shape_inference.infer_shapes(fp16, strict_mode=True, data_prop=True)
    graph = model.graph
    half = _half_tensors(model)
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT16:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float32), tensor.name))
    nodes = []
    for node in graph.node:
        rounded = [(k, name) for k, name in enumerate(node.output) if name in half]
        if node.op_type == "Cast" and rounded:
            node.attribute[0].i = TensorProto.FLOAT  # the rounding casts that follow do its work
        nodes.append(node)
        for k, name in rounded:
            exact, narrow = f"{name}_exact", f"{name}_binary16"
            node.output[k] = exact
            nodes.append(helper.make_node("Cast", [exact], [narrow], to=TensorProto.FLOAT16))
            nodes.append(helper.make_node("Cast", [narrow], [name], to=TensorProto.FLOAT))
    graph.node.extend(nodes)
    del graph.node[: -len(nodes)]
    del graph.value_info[:]
    model.doc_string = "simulated binary16: computes in FP32 and rounds every FP16 result"
    onnx.checker.check_model(model, full_check=True)
    return model


def measure_overflow(
    fp32: onnx.ModelProto, fp16: onnx.ModelProto, batches: Iterable[NDArray[np.float32]]
) -> OverflowMargin:
    """Run images through the FP32 graph and find the largest |value| among the tensors that are binary16 in `fp16`.

    Args:
        fp32: the graph that `fp16` was made from: the same tensor names.
        fp16: what `to_fp16` returned.
        batches: preprocessed images (1, 3, H, W), at least one.
    """
    produced = {name for node in fp32.graph.node for name in node.output}
    names = [name for name in _half_tensors(fp16) if name in produced]
    backend = open_graph(_with_ranges(fp32, names))
    ranges = [backend.run(batch) for batch in batches]  # (tensors,) each
    largest = np.max(ranges, axis=0)
    peak = int(np.argmax(largest))
    return OverflowMargin(float(largest[peak]), names[peak], len(ranges))


def _half_tensors(model: onnx.ModelProto) -> list[str]:
    """Return the names of the computed binary16 tensors, in the order of the graph."""
    types = {v.name: v.type.tensor_type.elem_type for v in (*model.graph.value_info, *model.graph.output)}
    return [n for node in model.graph.node for n in node.output if types.get(n) == TensorProto.FLOAT16]


def _with_ranges(model: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Return a copy whose only output is the largest |value| of each named tensor: (tensors,) float32."""
    copied = copy.deepcopy(model)
    graph = copied.graph
    for name in names:
        graph.node.append(helper.make_node("Abs", [name], [f"{name}_abs"]))
        graph.node.append(helper.make_node("ReduceMax", [f"{name}_abs"], [f"{name}_max"], keepdims=0))
        graph.node.append(helper.make_node("Reshape", [f"{name}_max", "one_value"], [f"{name}_range"]))
    graph.initializer.append(numpy_helper.from_array(np.array([1], np.int64), "one_value"))
    graph.node.append(helper.make_node("Concat", [f"{name}_range" for name in names], [RANGE_OUTPUT], axis=0))
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(RANGE_OUTPUT, TensorProto.FLOAT, [len(names)]))
    embed_spec(copied, spec_of(model).with_changes(output_name=RANGE_OUTPUT))
    return copied
