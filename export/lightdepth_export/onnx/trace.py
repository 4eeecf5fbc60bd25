"""Trace a PyTorch depth network to one FP32 ONNX file. The only module here that imports torch."""

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import onnx

from lightdepth_runtime.atomic import atomic_path
from lightdepth_runtime.errors import LightDepthError, first_line
from lightdepth_runtime.spec import ModelSpec

from .. import __version__
from .metadata import embed_spec

try:
    import onnxscript as _onnxscript  # noqa: F401  torch.onnx needs it, and asks for it only when it is half done
    import torch
    from torch import nn
except ImportError as error:
    raise ImportError(
        "Tracing a network needs PyTorch and onnxscript; install them with: pip install torch onnxscript"
    ) from error

__all__ = ["OPSET", "export_onnx", "run_exporter", "trace_onnx"]

OPSET = 18  # parsed by TensorRT 10.3 (JetPack 6) to 11 and by TensorRT-RTX; Resize-18 is the last form they share
DYNAMIC_BATCH_EXAMPLE = 2  # torch.export takes a size of 1 for a constant


def export_onnx(model: nn.Module, spec: ModelSpec, path: Path | str, *, dynamic_batch: bool = False) -> None:
    """Write a network as one FP32 ONNX file with its spec inside; see `trace_onnx`.

    Raises:
        LightDepthError: the network can't be traced, or the file can't be written.
    """
    traced = trace_onnx(model, spec, dynamic_batch=dynamic_batch)
    with atomic_path(path) as temporary:
        onnx.save_model(traced, str(temporary))


def trace_onnx(model: nn.Module, spec: ModelSpec, *, dynamic_batch: bool = False) -> onnx.ModelProto:
    """Trace a network in evaluation mode, BatchNorm folded into its convolutions.

    Args:
        model: maps float32 (B, 3, H, W) to metres (B, 1, H, W), and to sigma where the spec has a `sigma_tensor`; it is
            copied, so its mode and device stay.
        spec: gives the input size and the tensor names, and travels in the file.
        dynamic_batch: leave the batch size open; else it is 1.

    Raises:
        LightDepthError: PyTorch can't trace the network, or the graph has operators outside standard ONNX.
    """
    network = copy.deepcopy(model).cpu().float().eval()
    batch = DYNAMIC_BATCH_EXAMPLE if dynamic_batch else 1
    example = torch.zeros(batch, 3, spec.input_height, spec.input_width)
    names = [spec.output_name, *([spec.sigma_tensor] if spec.sigma_tensor else [])]
    shapes = ({0: torch.export.Dim("batch")},) if dynamic_batch else None
    return _clean(run_exporter(network, example, spec.input_name, names, dynamic_shapes=shapes), spec)


def run_exporter(
    network: nn.Module,
    example: torch.Tensor,
    input_name: str,
    output_names: list[str],
    *,
    dynamic_shapes: tuple[Any, ...] | None = None,  # Any: as torch.onnx takes them
    name: str = "this network",
) -> onnx.ModelProto:
    """Return what PyTorch's exporter makes of a network, its notes kept off the terminal.

    Raises:
        LightDepthError: it can't trace the network, which the error calls `name`.
    """
    with _quiet():
        try:
            program = torch.onnx.export(
                network,
                (example,),
                dynamo=True,
                opset_version=OPSET,
                input_names=[input_name],
                output_names=output_names,
                dynamic_shapes=dynamic_shapes,
                external_data=False,
                verbose=False,
            )
        except Exception as error:  # torch.export raises dozens of classes
            raise LightDepthError(
                f"PyTorch can't export {name} to ONNX ({first_line(error)}); use layers that torch.onnx supports."
            ) from error
    assert program is not None, "torch.onnx.export returns a program when dynamo=True"
    return program.model_proto


def _clean(traced: onnx.ModelProto, spec: ModelSpec) -> onnx.ModelProto:
    """Drop the exporter's notes (they hold source paths), put in the spec, and check the graph."""
    graph = traced.graph
    for item in (*graph.node, *graph.input, *graph.output, *graph.initializer, graph, traced):
        item.ClearField("metadata_props")
        item.ClearField("doc_string")
    del graph.value_info[:]
    graph.name = spec.name
    traced.producer_name, traced.producer_version = "lightdepth-export", __version__
    unknown = sorted({f"{n.domain}::{n.op_type}" for n in graph.node if n.domain not in ("", "ai.onnx")})
    if unknown or traced.functions:
        raise LightDepthError(
            f"The exported graph has operators outside standard ONNX ({', '.join(unknown) or 'local functions'}), "
            "which TensorRT can't parse; use other layers."
        )
    model = onnx.shape_inference.infer_shapes(traced, strict_mode=True, data_prop=True)
    embed_spec(model, spec)
    onnx.checker.check_model(model, full_check=True)
    return model


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings and log lines off the user's terminal; its errors still raise."""
    loggers = [logging.getLogger(name) for name in ("torch", "torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
