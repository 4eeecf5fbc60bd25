"""TensorRT engines without torch: `python -m lightdepth_export.engine model.onnx` on the target.

An engine belongs to the TensorRT version and the GPU that built it, so this runs where the engine will. TensorRT-RTX
builds for desktop GPUs on any machine: `--engine-for sm86,sm89`.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast, get_args

from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.backends.tensorrt.engine_file import check_engine_fits, read_engine_sidecar
from lightdepth_runtime.backends.tensorrt.module import Flavour, choose_flavour, load_tensorrt
from lightdepth_runtime.errors import LightDepthError, without_way_out

from .tensorrt.builder import BuiltEngine, build_engine
from .tensorrt.layers import LayerReport, check_precision
from .tensorrt.options import BatchRange, BuildOptions
from .tensorrt.progress import BuildProgress, show_progress
from .tensorrt.save import SavedEngine, build_and_save, engine_path

__all__ = [
    "BatchRange",
    "BuildOptions",
    "BuiltEngine",
    "LayerReport",
    "SavedEngine",
    "build_engine",
    "can_build_here",
    "check_engine_fits",
    "check_precision",
    "engine_for",
    "engine_here",
    "engine_path",
    "load_tensorrt",
    "main",
    "read_engine_sidecar",
    "rebuild_engine",
]

_SIZE_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def can_build_here(onnx_path: Path | str = "MODEL.onnx", flavour: Flavour | None = None) -> str | None:
    """Return None where TensorRT and a GPU are, else one sentence: what is missing, and what to run on the target.

    `flavour` None takes TensorRT-RTX too where TensorRT is not.
    """
    try:
        load_tensorrt(flavour or choose_flavour())
        open_cuda()
    except LightDepthError as error:
        command = f"python -m lightdepth_export.engine {onnx_path}"
        return f"No engine can be built here: {without_way_out(error)}; on the target, run: {command}"
    return None


def engine_here(
    onnx_path: Path | str,
    output: Path | None = None,
    *,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
    flavour: Flavour | None = None,
) -> SavedEngine:
    """Build an engine for this machine's GPU and run it on a few frames.

    `flavour` None takes TensorRT where it is installed, else TensorRT-RTX; the engine's JSON says which.

    Raises:
        LightDepthError: TensorRT or a GPU is missing, the build failed, a convolution has another precision, or the
            engine's depth isn't ONNX Runtime's.
    """
    trt, cuda = load_tensorrt(flavour or choose_flavour()), open_cuda()
    return build_and_save(trt, onnx_path, output=output, cuda=cuda, options=options, progress=progress)


def engine_for(
    onnx_path: Path | str,
    compute_capabilities: Sequence[str],
    output: Path | None = None,
    *,
    options: BuildOptions | None = None,
    progress: BuildProgress | None = None,
) -> SavedEngine:
    """Build a TensorRT-RTX engine for named GPUs ("sm86"), on a machine that needs none.

    Raises:
        LightDepthError: TensorRT-RTX missing, a GPU that it doesn't build for, the build failed, or a convolution has
            another precision.
    """
    options = replace(options or BuildOptions(), compute_capabilities=tuple(compute_capabilities))
    return build_and_save(load_tensorrt("tensorrt_rtx"), onnx_path, output=output, options=options, progress=progress)


def rebuild_engine(onnx_path: Path, output: Path) -> SavedEngine:
    """Build again an engine that doesn't fit this machine, with the flavour and the batch range that its JSON names.

    Fits `lightdepth_runtime.backends.tensorrt.open_engine`'s `rebuild`.
    """
    try:
        old = read_engine_sidecar(output)
    except LightDepthError:
        return engine_here(onnx_path, output)
    batch = None
    if old.min_shape != old.max_shape:
        batch = BatchRange(old.min_shape[0], old.opt_shape[0], old.max_shape[0])
    return engine_here(onnx_path, output, options=BuildOptions(batch=batch), flavour=old.flavour)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code: 1 with one sentence where it failed, 2 for a wrong argument."""
    given = _parser().parse_args(arguments)
    try:
        options = BuildOptions(
            batch=given.batch, workspace_bytes=given.workspace, timing_cache=given.timing_cache, tf32=given.tf32
        )
        with show_progress() as progress:
            if given.engine_for:
                wanted = given.engine_for.split(",")
                saved = engine_for(given.model, wanted, given.output, options=options, progress=progress)
            else:
                flavour = given.flavour or choose_flavour()
                if given.flavour is None and flavour == "tensorrt_rtx":
                    print("Building with TensorRT-RTX, since TensorRT is not installed here.")
                saved = engine_here(given.model, given.output, options=options, progress=progress, flavour=flavour)
    except LightDepthError as error:
        if given.debug:
            raise
        print(f"Error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Stopped; nothing was written.", file=sys.stderr)
        return 1
    print(saved.describe())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m lightdepth_export.engine",
        description="Build a TensorRT engine from an ONNX file that `lightdepth export` wrote, for this machine's GPU.",
    )
    parser.add_argument("model", type=Path, help="the ONNX file; its precision is the engine's")
    parser.add_argument("-o", "--output", type=Path, help="engine file to write; default: beside the ONNX file")
    parser.add_argument(
        "--flavour",
        type=_flavour,
        metavar="tensorrt|tensorrt-rtx",
        help="builder of the engine; default: TensorRT where it is installed, else TensorRT-RTX",
    )
    parser.add_argument(
        "--engine-for",
        metavar="SM[,SM]",
        help="build with TensorRT-RTX for these GPUs, e.g. sm86,sm89; needs no GPU; default: this machine's",
    )
    parser.add_argument(
        "--batch",
        type=_batch,
        metavar="MIN,OPT,MAX",
        help="batch sizes of an ONNX file exported with --batch dynamic; needed there, no default",
    )
    parser.add_argument(
        "--workspace",
        type=_size_bytes,
        metavar="SIZE",
        help="limit of scratch memory, e.g. 512M or 2G; default: TensorRT's",
    )
    parser.add_argument(
        "--timing-cache",
        type=Path,
        metavar="FILE",
        help="cache that makes the next build faster, TensorRT alone; default: none",
    )
    parser.add_argument(
        "--tf32", action="store_true", help="let FP32 convolutions round their inputs to 10 bits; default: off"
    )
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error; default: off")
    return parser


def _flavour(text: str) -> Flavour:
    flavour = text.replace("-", "_")
    if flavour not in get_args(Flavour):
        raise argparse.ArgumentTypeError(f"needs tensorrt or tensorrt-rtx, got {text!r}")
    return cast(Flavour, flavour)


def _batch(text: str) -> BatchRange:
    sizes = text.split(",")
    if len(sizes) != 3 or not all(size.strip().isdigit() for size in sizes):
        raise argparse.ArgumentTypeError(f"needs three whole numbers MIN,OPT,MAX, like 1,1,4; got {text!r}")
    try:
        return BatchRange(*map(int, sizes))
    except LightDepthError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _size_bytes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([KMG]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or int(match[1]) == 0:
        raise argparse.ArgumentTypeError(f"needs a size like 512M or 2G, got {text!r}")
    return int(match[1]) * _SIZE_UNITS[match[2].upper()]


if __name__ == "__main__":
    sys.exit(main())
