"""Build an engine, prove its precision, and write it with the JSON that describes it."""

from __future__ import annotations

import importlib.util
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import onnx

from lightdepth_runtime.backends.device_buffers import CudaDevice
from lightdepth_runtime.backends.tensorrt.backend import TensorRTBackend
from lightdepth_runtime.backends.tensorrt.engine_file import EngineSidecar, platform_name, sha256_of, write_engine
from lightdepth_runtime.backends.tensorrt.module import FLAVOUR_NAMES
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import ModelSpec, Precision

from .. import __version__
from ..onnx.fp16 import head_nodes
from ..onnx.metadata import load_onnx, spec_of
from .builder import BuiltEngine, build_engine
from .layers import check_precision
from .options import BuildOptions
from .progress import BuildProgress
from .self_test import self_test

__all__ = ["SavedEngine", "build_and_save", "engine_path", "kept_convolutions"]


@dataclass(frozen=True)
class SavedEngine:
    """Where an engine is, and what its JSON says."""

    path: Path
    sidecar: EngineSidecar

    def describe(self) -> str:
        """Say in one line what was built."""
        sidecar = self.sidecar
        kinds = ", ".join(f"{count} {kind}" for kind, count in sorted(sidecar.convolutions.items()))
        target = sidecar.gpu_name or ", ".join(sidecar.compute_capabilities) or "Ampere and later"
        name = FLAVOUR_NAMES[sidecar.flavour]
        size_mb = sidecar.plan_size_bytes / 1e6
        text = f"{self.path}: {name} {sidecar.tensorrt_version} for {target}, {size_mb:.1f} MB, convolutions: {kinds}"
        tested = sidecar.self_test
        if "max_abs_diff_m" not in tested:
            return f"{text}; not tested: {tested.get('skipped', 'no GPU took part')}"
        return f"{text}; at most {tested['max_abs_diff_m']:.2g} m from ONNX Runtime on {tested['frames']} frames"


def engine_path(onnx_path: Path | str) -> Path:
    """Return where the engine of an ONNX file stands: `m.fp16.onnx` -> `m.fp16.engine`."""
    return Path(onnx_path).with_suffix(".engine")


def build_and_save(
    trt: Any,  # Any: NVIDIA ships no types
    onnx_path: Path | str,
    *,
    output: Path | None = None,
    cuda: CudaDevice | None = None,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
) -> SavedEngine:
    """Build the engine of an exported ONNX file.

    Nothing is written unless its precision is what the file claims and, on a GPU, it passed the self-test.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        onnx_path: written by `lightdepth export`; its spec goes into the JSON.
        output: the engine; None puts it beside the ONNX file.
        cuda: the GPU that the engine is built for and tested on; None with TensorRT-RTX without one.
        options: see BuildOptions.
        progress: see build_engine.

    Raises:
        LightDepthError: no LightDepth metadata, the build failed, a convolution of another precision, or depth that
            isn't ONNX Runtime's.
    """
    onnx_path, options, gpu = Path(onnx_path), options or BuildOptions(), cuda.gpu() if cuda else None
    output = output or engine_path(onnx_path)
    if output.suffix != ".engine":
        raise LightDepthError(f"An engine's name ends in .engine, got {output}; name it {output.stem}.engine.")
    model = load_onnx(onnx_path)
    spec = spec_of(model, str(onnx_path))
    built = build_engine(trt, onnx_path, options=options, progress=progress)
    check_precision(built.layers, spec.precision, keep=kept_convolutions(model, spec.precision))
    smallest, usual, largest = built.shapes
    sidecar = EngineSidecar(
        spec=spec,
        flavour=built.flavour,
        tensorrt_version=built.tensorrt_version,
        gpu_name=gpu.name if gpu else None,
        compute_capabilities=(gpu.compute_capability,) if gpu else built.compute_capabilities,
        platform=platform_name(),
        onnx_file=onnx_path.name,
        onnx_sha256=built.onnx_sha256,
        plan_sha256=sha256_of(built.plan),
        plan_size_bytes=len(built.plan),
        precision=spec.precision,
        min_shape=smallest,
        opt_shape=usual,
        max_shape=largest,
        convolutions=built.layers.counts(),
        other_precision_layers=tuple(built.layers.other_than(spec.precision)),
        settings={
            "strongly_typed": True,
            "tf32": options.tf32,
            "workspace_bytes": options.workspace_bytes,
            "timing_cache": options.timing_cache is not None and built.flavour == "tensorrt",
            "warnings": list(built.warnings),
        },
        lightdepth_version=__version__,
        self_test={} if cuda is None else _test(trt, built, model, spec, cuda, tf32=options.tf32),
    )
    write_engine(output, built.plan, sidecar)
    return SavedEngine(output, sidecar)


def _test(
    trt: Any, built: BuiltEngine, model: onnx.ModelProto, spec: ModelSpec, cuda: CudaDevice, *, tf32: bool
) -> dict[str, Any]:  # Any: NVIDIA ships no types; JSON values
    """Say how far the engine's metres are from ONNX Runtime's, or why that isn't known."""
    if importlib.util.find_spec("onnxruntime") is None:
        return {"skipped": "ONNX Runtime is not installed here, pip install onnxruntime"}
    with closing(TensorRTBackend(trt, built.plan, spec, cuda, cuda_graph=False)) as backend:
        return asdict(self_test(backend, model, flavour=built.flavour, version=built.tensorrt_version, tf32=tf32))


def kept_convolutions(model: onnx.ModelProto, precision: Precision) -> list[str]:
    """Name the convolutions that a graph keeps in a higher precision on purpose.

    FP16: the heads, which are depth and sigma themselves. INT8: those whose image or kernel the quantizer left without
    a DequantizeLinear. FP32: none.
    """
    convolutions = [node for node in model.graph.node if node.op_type == "Conv"]
    if precision == "fp16":
        heads = head_nodes(model.graph)
        return [node.name for i, node in enumerate(model.graph.node) if i in heads and node.op_type == "Conv"]
    if precision == "int8":
        dequantized = {name for node in model.graph.node if node.op_type == "DequantizeLinear" for name in node.output}
        # Both: a quantizer may give a kept convolution its neighbour's dequantized input beside its own FP32 kernel.
        return [node.name for node in convolutions if not dequantized.issuperset(node.input[:2])]
    return []
