"""Quantize an FP32 ONNX graph to INT8 with QuantizeLinear and DequantizeLinear pairs, calibrated on real images.

TensorRT and x86 CPUs need different files. TensorRT takes symmetric INT8 only and refuses quantized biases. An x86 CPU
without VNNI adds pairs of products in 16 bits, which 8-bit weights overflow without an error: its file has 7-bit
weights and unsigned activations, which every x86 CPU computes rightly. TensorRT's file is judged in float, operator by
operator, since those CPU kernels would give it wrong numbers.

The head stays in FP32. Where the whole network in INT8 loses too much, parts of it are kept in FP32, those first that
lose most when they alone are quantized. How much is too much say the calibration images, and a judge that may look at
others. A part is a run of neighbouring layers: what INT8 loses is mostly the rounding of activations, and a single
layer between two quantized ones gets them rounded all the same.
"""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import onnx
from numpy.typing import NDArray

from lightdepth_runtime.errors import LightDepthError

from .backend import open_graph
from .fp16 import head_nodes
from .metadata import embed_spec, load_onnx, spec_of

__all__ = ["Int8Target", "quantize_int8"]

Int8Target = Literal["tensorrt", "cpu"]
Block = tuple[str, ...]  # names of neighbouring nodes

BLOCKS = 8
MEASURED_IMAGES = 8
MOST_KEPT_SHARE = 0.5  # past this the file is no INT8 model any more


def quantize_int8(
    fp32: onnx.ModelProto,
    batches: Sequence[NDArray[np.float32]],
    *,
    target: Int8Target,
    allowed_abs_rel: float = 0.02,
    judge: Callable[[onnx.ModelProto], None] | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> onnx.ModelProto:
    """Quantize a graph, keeping as little of it in FP32 as `allowed_abs_rel` and the judge ask for.

    Args:
        fp32: what `trace_onnx` returned.
        batches: preprocessed real images (1, 3, H, W) of the kind that the model will see; 16 to 64 are enough.
        target: who will run it.
        allowed_abs_rel: mean |INT8 - FP32| / FP32 of the depth, on a few of the images.
        judge: raises LightDepthError for a quantized graph that loses too much; asked once `allowed_abs_rel` is met,
            and where it can't be met: with half of the network in FP32 the judge alone decides.
        say: gets a line about each attempt.

    Raises:
        LightDepthError: so sensitive that half would stay FP32.
    """
    with tempfile.TemporaryDirectory(prefix="lightdepth-int8-") as folder:
        quantizer = _Quantizer(fp32, batches, target, Path(folder))
        kept: list[Block] = []
        ranked: list[Block] = []
        while True:
            model = quantizer.quantize(without=kept)
            error = quantizer.abs_rel(model)
            what = f"{kept[-1][0]} to {kept[-1][-1]} kept in FP32, " if kept else ""
            say(f"INT8 for {target}: {what}AbsRel to FP32 {error:.2g}")
            fault = _fault(model, error, allowed_abs_rel, judge)
            if not fault:
                break
            ranked = ranked or quantizer.most_sensitive_first()
            if len(kept) + 1 > MOST_KEPT_SHARE * len(ranked):
                fault = (
                    fault if judge is None else _fault(model, 0.0, allowed_abs_rel, judge)
                )  # the judge alone decides
                if not fault:
                    break
                raise LightDepthError(
                    f"INT8 for {target} loses too much with {len(kept)} of {len(ranked)} parts of the network kept in "
                    f"FP32: {fault}"
                )
            kept.append(ranked[len(kept)])
    onnx.checker.check_model(model)
    return model


def _fault(
    model: onnx.ModelProto, abs_rel: float, allowed_abs_rel: float, judge: Callable[[onnx.ModelProto], None] | None
) -> str:
    """Say what is wrong with a quantized graph, and what to do; nothing where it passes."""
    if abs_rel > allowed_abs_rel:
        return (
            f"its AbsRel to FP32 is {abs_rel:.2g}, past {allowed_abs_rel:g}; use FP16, calibrate on more and other "
            "images, or allow INT8 a larger change."
        )
    try:
        if judge is not None:
            judge(model)
    except LightDepthError as error:
        return str(error)
    return ""


class _Quantizer:
    """Calibrates once, then quantizes any choice of blocks."""

    def __init__(
        self, fp32: onnx.ModelProto, batches: Sequence[NDArray[np.float32]], target: Int8Target, folder: Path
    ) -> None:
        self._target: Int8Target = target
        self._spec = spec_of(fp32)
        head = head_nodes(fp32.graph)
        self._head = [node.name for i, node in enumerate(fp32.graph.node) if i in head]
        self._blocks = _blocks([node for i, node in enumerate(fp32.graph.node) if i not in head])
        self._few = [batches[i * len(batches) // MEASURED_IMAGES] for i in range(min(MEASURED_IMAGES, len(batches)))]
        self._source = folder / "fp32.onnx"  # given the graph itself, the quantizer would move its weights out of it
        onnx.save_model(fp32, str(self._source))
        self._ranges = _calibrate(self._source, batches)
        reference = open_graph(fp32)
        self._expected = [reference.run(batch) for batch in self._few]

    def quantize(self, *, without: Sequence[Block]) -> onnx.ModelProto:
        """Quantize the body but for some blocks."""
        model = self._quantize(exclude=[*self._head, *(name for block in without for name in block)])
        embed_spec(model, self._spec.with_changes(precision="int8", quantized_for=self._target, scores={}))
        return model  # without scores: nobody scored it

    def most_sensitive_first(self) -> list[Block]:
        """Rank blocks by what the depth loses when each is quantized alone."""
        errors = [self.abs_rel(self._quantize(only=list(block))) for block in self._blocks]
        return [self._blocks[i] for i in np.argsort(errors)[::-1]]

    def abs_rel(self, model: onnx.ModelProto) -> float:
        """Return mean |quantized - FP32| / FP32 over a few images."""
        backend = open_graph(model, fuse=self._target == "cpu")
        differences = [
            np.abs(backend.run(batch) - expected) / np.maximum(expected, spec_of(model).min_depth_m)
            for batch, expected in zip(self._few, self._expected, strict=True)
        ]
        return float(np.mean(differences))

    def _quantize(self, *, only: list[str] | None = None, exclude: list[str] | None = None) -> onnx.ModelProto:
        """Do what onnxruntime's `quantize_static` does, which before 1.32 would calibrate anew for every choice."""
        from onnxruntime.quantization import QDQQuantizer, QuantType
        from onnxruntime.quantization.quant_utils import load_model_with_shape_infer

        on_tensorrt = self._target == "tensorrt"
        quantizer = QDQQuantizer(
            load_model_with_shape_infer(self._source),
            per_channel=True,
            reduce_range=not on_tensorrt,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QInt8 if on_tensorrt else QuantType.QUInt8,
            tensors_range=self._ranges,
            nodes_to_quantize=only or [],
            nodes_to_exclude=exclude or [],
            op_types_to_quantize=_quantizable(),
            extra_options={
                "ActivationSymmetric": on_tensorrt,
                "WeightSymmetric": True,
                "QuantizeBias": not on_tensorrt,
            },
        )
        quantizer.quantize_model()
        output = self._source.with_name("quantized.onnx")
        quantizer.model.save_model_to_file(str(output))  # saving is what brings the nodes into order
        return load_onnx(output)


def _calibrate(source: Path, batches: Sequence[NDArray[np.float32]]) -> Any:  # Any: onnxruntime's TensorsData
    """Return the smallest and largest value of every tensor of the graph over the images."""
    from onnxruntime.quantization import create_calibrator

    calibrator = create_calibrator(source, _quantizable(), str(source.with_name("augmented.onnx")))
    input_name = spec_of(load_onnx(source)).input_name
    rest = ({input_name: batch} for batch in batches)
    reader: Any = SimpleNamespace(get_next=lambda: next(rest, None))  # Any: what is used of a CalibrationDataReader
    calibrator.collect_data(reader)
    return calibrator.compute_data()


def _quantizable() -> list[str]:
    """Return the operators that onnxruntime's quantizer knows."""
    from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

    return sorted({*QLinearOpsRegistry, *QDQRegistry})


def _blocks(body: Sequence[onnx.NodeProto]) -> list[Block]:
    """Cut the nodes, which are in order, into parts of about as many convolutions each."""
    count = max(1, sum(node.op_type == "Conv" for node in body))
    blocks: list[list[str]] = [[] for _ in range(min(BLOCKS, count))]
    seen = 0
    for node in body:
        seen += node.op_type == "Conv"
        blocks[max(0, seen - 1) * len(blocks) // count].append(node.name)
    return [tuple(block) for block in blocks]
