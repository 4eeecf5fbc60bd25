"""Put `lightdepth_runtime.images.preprocess` into the graph: a camera's uint8 frame in, metres of the same size out.

Area averaging and bilinear interpolation are linear in each axis, so both become a MatMul by precomputed weights. Area
averaging repeats itself: 480 rows to 192 is 96 times the same 5 rows to 2, so that MatMul is by a 2x5 matrix. The sums
are rounded to whole grey levels as OpenCV's are. It agrees with OpenCV but for ties, for its 11-bit bilinear weights
and for the rounding between the halving of a large image and the rest: at most `TOLERANCE_GREY_LEVELS` at a pixel.
"""

import copy
from math import gcd

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.preprocess import halves_first
from lightdepth_runtime.spec import ModelSpec

from .metadata import embed_spec, spec_of

__all__ = ["TOLERANCE_GREY_LEVELS", "embed_preprocessing", "resize_weights"]

TOLERANCE_GREY_LEVELS = 1
FRAME_NAME, FRAME_DEPTH_NAME, FRAME_SIGMA_NAME = "frame", "frame_depth", "frame_sigma"


def embed_preprocessing(model: onnx.ModelProto, height: int, width: int) -> onnx.ModelProto:
    """Return a graph that takes a frame, uint8 RGB (1, height, width, 3), and gives float32 (1, height, width) metres.

    Sigma, where the network has it, gets the same shape.
    Resizing and normalisation are computed in FP32 whatever the network's precision. The argument is left as it was.

    Raises:
        LightDepthError: an open batch size, preprocessing there already, or an empty frame.
    """
    spec = spec_of(model)
    if spec.frame_height is not None:
        raise LightDepthError("This model has its preprocessing inside already; give the one without.")
    if min(height, width) < 1:
        raise LightDepthError(f"A camera's frame has a positive size, got {width}x{height}.")
    if not model.graph.input[0].type.tensor_type.shape.dim[0].HasField("dim_value"):
        raise LightDepthError("Preprocessing is embedded for one frame at a time; export with a batch size of 1.")
    embedded = copy.deepcopy(model)
    graph = embedded.graph
    before, weights = _before(spec, height, width)
    outputs = {spec.output_name: FRAME_DEPTH_NAME}
    if spec.sigma_tensor:
        outputs[spec.sigma_tensor] = FRAME_SIGMA_NAME
    after, more = _after(outputs, height, width)
    nodes = (*before, *graph.node, *after)
    graph.node.extend(nodes)
    del graph.node[: -len(nodes)], graph.input[:], graph.output[:], graph.value_info[:]
    graph.initializer.extend((*weights, *more))
    graph.input.append(helper.make_tensor_value_info(FRAME_NAME, TensorProto.UINT8, [1, height, width, 3]))
    for name in outputs.values():
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, height, width]))
    embedded = onnx.shape_inference.infer_shapes(embedded, strict_mode=True, data_prop=True)
    embed_spec(
        embedded,
        spec.with_changes(
            frame_height=height,
            frame_width=width,
            input_name=FRAME_NAME,
            output_name=FRAME_DEPTH_NAME,
            sigma_tensor=FRAME_SIGMA_NAME if spec.sigma_tensor else None,
        ),
    )
    onnx.checker.check_model(embedded, full_check=True)
    return embedded


def resize_weights(size: int, target: int, *, area: bool) -> NDArray[np.float64]:
    """Return the weights of resizing one axis: (target, size), rows that sum to 1, as `cv2.resize` weighs pixels.

    Args:
        size: pixels of the axis.
        target: pixels of the result.
        area: INTER_AREA, each result the mean over its share of the axis; else INTER_LINEAR between pixel centres.
    """
    scale = size / target
    weights = np.zeros((target, size))
    pixels = np.arange(size)
    for i in range(target):
        if area:
            weights[i] = np.clip(np.minimum(pixels + 1, (i + 1) * scale) - np.maximum(pixels, i * scale), 0, None)
        else:
            centre = np.clip((i + 0.5) * scale - 0.5, 0, size - 1)
            weights[i] = np.clip(1 - np.abs(pixels - centre), 0, None)
    return weights / weights.sum(axis=1, keepdims=True)


def _before(spec: ModelSpec, height: int, width: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Build frame -> network input."""
    target_height, target_width = spec.input_height, spec.input_width
    area = target_height <= height and target_width <= width  # the rule of images.resize_rgb
    weights_of = _halving_weights if halves_first(height, width, target_height, target_width) else resize_weights
    rows = _repeated_block(weights_of(height, target_height, area=area))  # (b, a)
    columns = _repeated_block(weights_of(width, target_width, area=area))  # (d, c)
    mean, std = np.array(spec.mean), np.array(spec.std)
    # Repeated here: one matrix by many is multiplied on a GPU by way of addresses in host memory that ONNX Runtime
    # frees after the run, and a recorded graph would read them there for ever.
    blocks = np.broadcast_to(rows, (height // rows.shape[1], *rows.shape))  # (H/a, b, a)
    weights = {
        "frame_rows": np.ascontiguousarray(blocks, np.float32),
        "frame_columns": columns.T.astype(np.float32),
        "frame_rows_shape": np.array([-1, rows.shape[1], width * 3]),
        "frame_rows_result": np.array([target_height, width, 3]),
        "frame_columns_shape": np.array([-1, columns.shape[1]]),
        "frame_columns_result": np.array([1, 3, target_height, target_width]),
        "frame_scale": (1 / (255 * std)).astype(np.float32).reshape(1, 3, 1, 1),
        "frame_offset": (-mean / std).astype(np.float32).reshape(1, 3, 1, 1),
    }
    steps = [  # (operator, constant, attributes), with the shape of its result
        ("Cast", None, {"to": TensorProto.FLOAT}),  # (1, H, W, 3)
        ("Reshape", "frame_rows_shape", {}),  # (H/a, a, 3W)
        ("MatMul", "frame_rows", {}),  # (H/a, b, a) @ (H/a, a, 3W) -> (h/b, b, 3W)
        ("Reshape", "frame_rows_result", {}),  # (h, W, 3)
        ("Transpose", None, {"perm": [2, 0, 1]}),  # (3, h, W)
        ("Reshape", "frame_columns_shape", {}),  # (3hW/c, c)
        ("MatMul", "frame_columns", {}),  # (3hW/c, c) @ (c, d) -> (3hw/d, d)
        ("Reshape", "frame_columns_result", {}),  # (1, 3, h, w)
        ("Round", None, {}),  # whole grey levels
        ("Mul", "frame_scale", {}),
        ("Add", "frame_offset", {}),
    ]
    nodes, tensor = [], FRAME_NAME
    for i, (operator, constant, attributes) in enumerate(steps):
        result = spec.input_name if i == len(steps) - 1 else f"frame_{i}"
        operands = [tensor] if constant is None else [tensor, constant]
        if constant == "frame_rows":
            operands.reverse()
        nodes.append(helper.make_node(operator, operands, [result], name=f"preprocess_{i}", **attributes))
        tensor = result
    return nodes, [numpy_helper.from_array(value, name) for name, value in weights.items()]


def _after(outputs: dict[str, str], height: int, width: int) -> tuple[list[onnx.NodeProto], list[onnx.TensorProto]]:
    """Build each network output (1, 1, h, w) -> (1, H, W) under its new name, as images.resize_depth does."""
    weights = {"frame_size": np.array([1, 1, height, width]), "frame_channel": np.array([1])}
    nodes = []
    for number, (tensor, name) in enumerate(outputs.items()):
        label = f"postprocess{f'_{number}' if number else ''}"
        nodes += [
            helper.make_node(
                "Resize",
                [tensor, "", "", "frame_size"],
                [f"{name}_4d"],
                name=f"{label}_resize",
                mode="linear",
                coordinate_transformation_mode="half_pixel",
            ),
            helper.make_node("Squeeze", [f"{name}_4d", "frame_channel"], [name], name=f"{label}_squeeze"),
        ]
    return nodes, [numpy_helper.from_array(value, name) for name, value in weights.items()]


def _halving_weights(size: int, target: int, *, area: bool) -> NDArray[np.float64]:
    """Return the weights (target, size) of halving an axis and then resizing it."""
    return resize_weights(size // 2, target, area=area) @ resize_weights(size, size // 2, area=True)


def _repeated_block(weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the block (b, a) that stands repeated along the diagonal of (target, size), or all of it if none does."""
    target, size = weights.shape
    for count in (gcd(target, size), gcd(target, size // 2)):  # the second where the axis is halved first
        block = weights[: target // count, : size // count]
        if size % count == 0 and np.allclose(np.kron(np.eye(count), block), weights, atol=1e-12):
            return block
    return weights
