"""Build an engine from an ONNX file: one path for TensorRT 10.3 to 11 and TensorRT-RTX.

The network is always strongly typed and no precision flag is set: precision lives in the graph, since TensorRT 11 has
no flag for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime.atomic import write_bytes
from lightdepth_runtime.backends.tensorrt.engine_file import sha256_of
from lightdepth_runtime.backends.tensorrt.module import Flavour, LogLines, collect_log, flavour_of
from lightdepth_runtime.errors import LightDepthError

from .layers import LayerReport, layers_from_inspector, layers_from_log, report_layers
from .options import BuildOptions, compute_capability_names
from .progress import BuildProgress, make_monitor

__all__ = ["BuiltEngine", "build_engine"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BuiltEngine:
    """A plan, and what is known about how it came to be.

    `shapes` are the input's smallest, usual and largest. `compute_capabilities` are those asked for.
    """

    plan: bytes
    layers: LayerReport
    flavour: Flavour
    tensorrt_version: str
    onnx_sha256: str
    shapes: tuple[Shape, Shape, Shape]
    compute_capabilities: tuple[str, ...]
    warnings: tuple[str, ...]


def build_engine(
    trt: Any,  # Any: NVIDIA ships no types
    onnx_path: Path | str,
    *,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
) -> BuiltEngine:
    """Build an engine.

    TensorRT needs a GPU, so ask `engine.can_build_here` before; TensorRT-RTX builds without one.

    Args:
        trt: the module, `tensorrt` or `tensorrt_rtx`.
        onnx_path: its precision is the engine's.
        options: batch range, workspace, timing cache, GPUs.
        progress: called with (phase, done, total); an error in it stops the build and is raised.

    Raises:
        LightDepthError: an unreadable or unsupported graph (with all of the parser's errors), a batch range missing or
            out of place, or a build that failed (with TensorRT's errors).
    """
    options, onnx_path = options or BuildOptions(), Path(onnx_path)
    content = _read(onnx_path)
    capabilities = compute_capability_names(trt, options.compute_capabilities)
    with collect_log(trt) as (logger, log):
        # Every object stays in a variable until the end: TensorRT's objects hold bare pointers to each other.
        try:
            builder = trt.Builder(logger)
        except TypeError as error:  # what the bindings make of a builder that could not be created
            raise LightDepthError(
                f"TensorRT can't start here: {log.reason()}; check the GPU with nvidia-smi."
            ) from error
        network = builder.create_network(1 << int(trt.NetworkDefinitionCreationFlag.STRONGLY_TYPED))
        parser = trt.OnnxParser(network, logger)
        _parse(parser, content, onnx_path)
        config = builder.create_builder_config()
        config.profiling_verbosity = trt.ProfilingVerbosity.DETAILED  # the layers' types are in the engine with this
        if options.workspace_bytes is not None:
            config.set_memory_pool_limit(trt.MemoryPoolType.WORKSPACE, options.workspace_bytes)
        if not options.tf32:
            config.clear_flag(trt.BuilderFlag.TF32)
        shapes = _add_profile(builder, network, config, options, onnx_path)
        _set_capabilities(trt, config, capabilities)
        timing_cache = _load_timing_cache(trt, config, options.timing_cache)
        monitor, errors = make_monitor(trt, progress or (lambda *_: None))
        config.progress_monitor = monitor
        plan = builder.build_serialized_network(network, config)
        if errors:
            raise errors[0]
        if plan is None:
            raise LightDepthError(f"TensorRT built no engine of {onnx_path}: {log.reason()}.")
        plan = bytes(plan)
        if timing_cache is not None and options.timing_cache is not None:
            write_bytes(options.timing_cache, bytes(timing_cache.serialize()))
        layers = [network.get_layer(i) for i in range(network.num_layers)]
        names = [layer.name for layer in layers if layer.type == trt.LayerType.CONVOLUTION]
        report = report_layers(_planned_layers(trt, plan, logger, log), names)
        warnings = tuple(dict.fromkeys(log.warnings))
    return BuiltEngine(
        plan, report, flavour_of(trt), trt.__version__, sha256_of(content), shapes, capabilities, warnings
    )


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise LightDepthError(f"Can't read {path}: {error.strerror or error}; give an ONNX file.") from error


def _parse(parser: Any, content: bytes, path: Path) -> None:  # Any: NVIDIA ships no types
    """Parse the graph, or pass on all that the parser has against it."""
    if not parser.parse(content, str(path)):
        lines = [f"TensorRT can't parse {path}; change these parts of the network:"]
        for number in range(parser.num_errors):
            parser_error = parser.get_error(number)
            lines.append(f"  {parser_error.node_operator()} {parser_error.node_name()}: {parser_error.desc()}")
        raise LightDepthError("\n".join(lines))


def _add_profile(
    builder: Any, network: Any, config: Any, options: BuildOptions, path: Path
) -> tuple[Shape, Shape, Shape]:  # Any: NVIDIA ships no types
    """Give an open batch its range; return the input's smallest, usual and largest shape."""
    if network.num_inputs != 1:
        raise LightDepthError(f"{path} has {network.num_inputs} inputs; a LightDepth network has one image.")
    tensor = network.get_input(0)
    shape = tuple(tensor.shape)
    if all(size > 0 for size in shape):
        if options.batch is not None:
            raise LightDepthError(
                f"{path} has the fixed input {shape}, so it takes no batch range; export it with --batch dynamic."
            )
        return shape, shape, shape
    if any(size <= 0 for size in shape[1:]):
        raise LightDepthError(f"{path} has the input {shape}; only its batch may be open. Export it again.")
    if options.batch is None:
        raise LightDepthError(
            f"{path} leaves its batch open {shape}, and an engine needs its range; give --batch MIN,OPT,MAX, like "
            "1,1,4."
        )
    sizes = (options.batch.minimum, options.batch.usual, options.batch.maximum)
    smallest, usual, largest = ((size, *shape[1:]) for size in sizes)
    profile = builder.create_optimization_profile()
    profile.set_shape(tensor.name, smallest, usual, largest)
    if config.add_optimization_profile(profile) < 0:
        raise LightDepthError(f"TensorRT refuses the batch range {sizes} for {path}; choose another.")
    return smallest, usual, largest


def _set_capabilities(trt: Any, config: Any, names: tuple[str, ...]) -> None:  # Any: NVIDIA ships no types
    if not names:
        return
    config.num_compute_capabilities = len(names)
    for index, name in enumerate(names):
        if not config.set_compute_capability(getattr(trt.ComputeCapability, name.upper()), index):
            raise LightDepthError(f"TensorRT-RTX refuses {name} beside {', '.join(names)}; build for fewer GPUs.")


def _load_timing_cache(trt: Any, config: Any, path: Path | None) -> Any:  # Any: NVIDIA ships no types
    """Attach the file's cache, or an empty one where it is missing or of another GPU or version."""
    if path is None or flavour_of(trt) == "tensorrt_rtx":  # TensorRT-RTX times nothing when it builds
        return None
    content = path.read_bytes() if path.is_file() else b""
    cache = config.create_timing_cache(content)
    if cache is None or not config.set_timing_cache(cache, ignore_mismatch=False):
        cache = config.create_timing_cache(b"")
        config.set_timing_cache(cache, ignore_mismatch=False)
    return cache


def _planned_layers(trt: Any, plan: bytes, logger: Any, log: LogLines) -> list[Any]:  # Any: NVIDIA ships no types
    """Describe what was planned: by the engine inspector with TensorRT, whose build had a GPU; else by the log."""
    if flavour_of(trt) == "tensorrt_rtx":
        return layers_from_log(log.layers)
    runtime = trt.Runtime(logger)
    engine = runtime.deserialize_cuda_engine(plan)
    if engine is None:
        raise LightDepthError(f"TensorRT can't load the engine that it just built: {log.reason()}.")
    inspector = engine.create_engine_inspector()
    return layers_from_inspector(inspector.get_engine_information(trt.LayerInformationFormat.JSON))
