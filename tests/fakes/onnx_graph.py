"""A model file without a network, written without PyTorch."""

import onnx
from onnx import TensorProto, helper

from lightdepth_runtime.spec import SPEC_KEY


def write_onnx(path, spec):
    """Write a graph that answers every pixel with 1 + the mean of its squared channels, in metres; returns the path."""
    size = [spec.input_height, spec.input_width]
    image = helper.make_tensor_value_info(spec.input_name, TensorProto.FLOAT, [1, 3, *size])
    depth = helper.make_tensor_value_info(spec.output_name, TensorProto.FLOAT, [1, 1, *size])
    nodes = [
        helper.make_node("Mul", [spec.input_name, spec.input_name], ["squared"]),
        helper.make_node("ReduceMean", ["squared", "axes"], ["mean"], keepdims=1),
        helper.make_node("Add", ["mean", "one"], [spec.output_name]),
    ]
    constants = [
        helper.make_tensor("axes", TensorProto.INT64, [1], [1]),
        helper.make_tensor("one", TensorProto.FLOAT, [], [1.0]),
    ]
    graph = helper.make_graph(nodes, "mean_square", [image], [depth], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    model.metadata_props.add(key=SPEC_KEY, value=spec.to_json())
    onnx.save(model, path)
    return path
