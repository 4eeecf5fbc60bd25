"""Rewrite an FP32 ONNX graph to binary16 (FP16) with FP32 input, output and head.

Precision lives in the graph, since TensorRT 11 has no FP16 flag. The graph gets two casts: one after the input, one
before the head. The head is the last convolution before each output and all that depends on it: its result is the
depth itself, where binary16's step (2 to 4 mm between 2 and 8 m) would be seen by users, or sigma.
"""

import copy

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from lightdepth_runtime.errors import LightDepthError

from .metadata import embed_spec, spec_of

__all__ = ["FP16_MAX", "head_nodes", "to_fp16"]

FP16_MAX = float(np.finfo(np.float16).max)  # 65504
FLOAT_OPERANDS = {("Resize", 1), ("Resize", 2)}  # roi and scales: ONNX wants scales in FP32 whatever X is
TYPED_OPS = frozenset(
    {"Cast", "Constant", "ConstantOfShape", "QuantizeLinear", "DequantizeLinear", "If", "Loop", "Scan"}
)


def to_fp16(fp32: onnx.ModelProto) -> onnx.ModelProto:
    """Return the FP16 form of a graph that `trace_onnx` made; the argument is left as it was.

    Raises:
        LightDepthError: not a graph of one input, a weight beyond binary16, or no convolution.
    """
    model = copy.deepcopy(fp32)
    graph = model.graph
    head = head_nodes(graph)
    for i, node in enumerate(graph.node):
        if i not in head and node.op_type in TYPED_OPS:  # graphs of `trace_onnx` have none
            raise LightDepthError(
                f"Node {node.name!r} ({node.op_type}) states its own type, so the graph can't be turned into FP16; "
                "give the FP32 file that `lightdepth export` wrote."
            )
    _convert_weights(graph, head)
    _insert_casts(graph, head)
    del graph.value_info[:]
    model = onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)
    embed_spec(model, spec_of(fp32).with_changes(precision="fp16", scores={}))  # nobody scored this file
    onnx.checker.check_model(model, full_check=True)
    return model


def head_nodes(graph: onnx.GraphProto) -> set[int]:
    """Return the indices of the last convolution before each output and of the nodes between them."""
    outputs = [output.name for output in graph.output]
    convolutions = [i for i, node in enumerate(graph.node) if node.op_type == "Conv"]
    if not convolutions or len(graph.input) != 1 or len(outputs) not in (1, 2):
        raise LightDepthError(
            "FP16 conversion needs a convolutional graph with one input and depth, or depth and sigma, as its outputs; "
            f"got {len(convolutions)} convolutions, {len(graph.input)} inputs and {len(outputs)} outputs; export the "
            "network again."
        )
    producer = {name: i for i, node in enumerate(graph.node) for name in node.output}
    head: set[int] = set()
    open_tensors = outputs
    while open_tensors:
        index = producer.get(open_tensors.pop())  # None for weights and the image
        if index is None or index in head:
            continue
        head.add(index)
        if graph.node[index].op_type != "Conv":
            open_tensors += graph.node[index].input
    return head


def _convert_weights(graph: onnx.GraphProto, head: set[int]) -> None:
    """Make the body's float initializers binary16; one that FP32 uses share is copied first."""
    floats = {tensor.name: tensor for tensor in graph.initializer if tensor.data_type == TensorProto.FLOAT}
    as_half: set[str] = set()
    as_float: set[str] = set()
    for i, node in enumerate(graph.node):
        for k, name in enumerate(node.input):
            if name in floats:
                (as_float if i in head or (node.op_type, k) in FLOAT_OPERANDS else as_half).add(name)
    shared = {name: f"{name}_half" for name in as_half & as_float}
    for name in sorted(as_half):
        half = _half(floats[name], shared.get(name, name))
        graph.initializer.append(half) if name in shared else floats[name].CopyFrom(half)
    for i, node in enumerate(graph.node):
        for k, name in enumerate(node.input):
            if i not in head and name in shared and (node.op_type, k) not in FLOAT_OPERANDS:
                node.input[k] = shared[name]


def _half(tensor: onnx.TensorProto, name: str) -> onnx.TensorProto:
    """Return a weight in binary16; values under its smallest step become zero, values over its range are an error."""
    values = numpy_helper.to_array(tensor)
    largest = float(np.abs(values).max(initial=0))
    if not largest <= FP16_MAX:  # NaN too
        raise LightDepthError(
            f"Weight {tensor.name} reaches {largest:g}, beyond binary16's {FP16_MAX:.0f}; export without --fp16, "
            "or train with more weight decay."
        )
    return numpy_helper.from_array(values.astype(np.float16), name)


def _insert_casts(graph: onnx.GraphProto, head: set[int]) -> None:
    """Cast the input to half before the body, and each tensor that the head takes from the body back to float."""
    image = graph.input[0].name
    half_image = f"{image}_half"
    nodes = [helper.make_node("Cast", [image], [half_image], name="cast_input", to=TensorProto.FLOAT16)]
    body_tensors = {name for i, node in enumerate(graph.node) if i not in head for name in node.output}
    cast: dict[str, str] = {}
    for i, node in enumerate(graph.node):
        for k, name in enumerate(node.input):
            if i not in head and name == image:
                node.input[k] = half_image
            elif i in head and name in body_tensors:
                if name not in cast:
                    cast[name] = f"{name}_float"
                    label = "cast_head" if len(cast) == 1 else f"cast_head_{len(cast)}"
                    nodes.append(helper.make_node("Cast", [name], [cast[name]], name=label, to=TensorProto.FLOAT))
                node.input[k] = cast[name]
        nodes.append(node)
    if len(cast) != 1:
        raise LightDepthError(
            f"The network's last convolution and what follows take {len(cast)} tensors from before; FP16 export needs "
            "one, a head that ends in a convolution."
        )
    graph.node.extend(nodes)
    del graph.node[: -len(nodes)]
