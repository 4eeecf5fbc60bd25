"""A bench with PyTorch at hand: checkpoints, untrained networks and the baseline join in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.bench.result import BenchResult
from lightdepth_runtime.bench.run import BenchOptions, plan_rows, run_bench
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.models import find_model
from lightdepth_runtime.spec import ModelSpec, Precision

if TYPE_CHECKING:  # PyTorch takes seconds to import
    from torch import nn

__all__ = ["Against", "bench_models", "export_for_timing", "export_untrained"]

TORCH = "torch"  # a device of this command alone: the runtime has no torch

Say = Callable[[str], None]


@dataclass(frozen=True)
class Against:
    """A baseline to time beside our models: its name, and "hub", "random" or a folder of weights."""

    name: str | None = None
    weights: str | None = None


def bench_models(
    models: Sequence[str],
    frame: NDArray[np.uint8],
    against: Against | None = None,
    *,
    frame_name: str,
    options: BenchOptions | None = None,
    say: Say = lambda _: None,
) -> BenchResult:
    """Time models and a baseline side by side: checkpoints are exported to FP32 ONNX, but for the device `torch`.

    Args:
        models: what `find_model` takes. None stands for lite0 and resnet18.
        frame: uint8 RGB (H, W, 3).
        against: a baseline; it becomes the first row, which ratios compare with. Where a model is FP16, the baseline
            stands there in FP16 too: ratios compare within a precision.
        frame_name: what the frame is, for the record.
        options: devices, threads and rounds. Each model gets a row on each device, an engine one on each GPU that
            is named, and checkpoints alone one on "torch"; on a GPU that is two, FP32 and FP16.
        say: receives a line about each model that is exported for the run.

    Raises:
        LightDepthError: a model can't be opened or can't run on a device, an unknown baseline, or its weights are out
            of reach.
    """
    options = options or BenchOptions()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lightdepth-")))
        files = [find_model(model) for model in models or ["lite0", "resnet18"]]
        _check_torch(files, against, options.devices)
        rows: list[tuple[Path, str]] = []
        if against is not None:
            for exported in _export_baseline(stack, against, frame, say, half=any(map(_is_fp16, files))):
                rows += _plan(exported, options, folder, say)
        for number, path in enumerate(files):
            rows += _plan(path, options, folder / str(number), say)
        return run_bench(rows, frame, frame_name=frame_name, options=options)


def _plan(model: Path, options: BenchOptions, folder: Path, say: Say) -> list[tuple[Path, str]]:
    """Return a row a device; a checkpoint is exported for all but PyTorch, where it alone has one."""
    runtimes = [device for device in options.devices if device != TORCH]
    if not _is_checkpoint(model):
        return plan_rows([model], runtimes)
    on_torch = [(model, device) for device in (_torch_devices() if TORCH in options.devices else ())]
    if runtimes:
        say(f"Exporting {model.name} to FP32 ONNX for {', '.join(runtimes)}")
        return [*on_torch, *plan_rows([export_for_timing(model, folder)], runtimes)]
    return on_torch


def _is_checkpoint(path: Path) -> bool:
    return path.suffix == ".safetensors"


def _check_torch(files: Sequence[Path], against: Against | None, devices: Sequence[str]) -> None:
    """Refuse `torch` where nothing runs on it, or where what can't run there has no other device."""
    if TORCH not in devices:
        return
    unfit = [path.name for path in files if not _is_checkpoint(path)]
    has_others = len(set(devices)) > 1
    if has_others and len(unfit) < len(files):
        return
    if against is not None and not has_others:
        unfit.append(against.name or "the baseline")
    if unfit:
        raise LightDepthError(
            f"{', '.join(unfit)} can't run on --device torch: only checkpoints (.safetensors) run there. Name a "
            "checkpoint, and for the others another device beside it, like --device auto."
        )


def _torch_devices() -> list[str]:
    """Return what PyTorch is timed on: FP16 stands beside FP32 where a GPU is."""
    import torch

    from .checkpoints.backend import HALF_DEVICE

    return ["auto", HALF_DEVICE] if torch.cuda.is_available() else ["auto"]


def _export_baseline(
    stack: ExitStack, against: Against, frame: NDArray[np.uint8], say: Say, *, half: bool
) -> list[Path]:
    """Return the baseline's files: FP32, and FP16 where a model is."""
    from .baselines.baseline import Baseline
    from .baselines.names import DEPTH_ANYTHING_SMALL

    baseline = stack.enter_context(Baseline(against.weights or "hub", against.name or DEPTH_ANYTHING_SMALL))
    say(f"Exporting {baseline.model.name} ({baseline.model.weights} weights) for ONNX Runtime")
    if baseline.model.weights == "random":
        say("Its weights are random: latency, size and memory mean something, its output does not.")
    precisions: tuple[Precision, ...] = ("fp32", "fp16") if half else ("fp32",)
    return [baseline.export(frame.shape[0], frame.shape[1], precision) for precision in precisions]


def _is_fp16(path: Path) -> bool:
    """Tell whether a file computes in FP16, by what its spec says."""
    from lightdepth_export.onnx.metadata import load_onnx, spec_of
    from lightdepth_runtime.backends.baseline import is_baseline
    from lightdepth_runtime.backends.tensorrt.engine_file import read_engine_sidecar

    if path.suffix == ".engine":
        return read_engine_sidecar(path).precision == "fp16"
    return path.suffix == ".onnx" and not is_baseline(path) and spec_of(load_onnx(path), str(path)).precision == "fp16"


def export_untrained(preset: str, folder: Path) -> Path:
    """Write the ONNX file of a preset with random weights, at the preset's input size."""
    from .checkpoints.checkpoint import build_model, count_parameters
    from .config import check_config

    config = check_config({"model": preset, "encoder_weights": "none"})
    network = build_model(config).eval()
    spec = ModelSpec(preset, config.image_height, config.image_width, count_parameters(network))
    return _export(network, spec, folder / f"{preset}.onnx")


def export_for_timing(path: Path, folder: Path) -> Path:
    """Write the FP32 ONNX file of a checkpoint, so that it is timed in the runtime that the others run in."""
    from .checkpoints.checkpoint import load_checkpoint

    checkpoint = load_checkpoint(path)
    return _export(checkpoint.model, checkpoint.spec, folder / f"{path.stem}.onnx")


def _export(network: nn.Module, spec: ModelSpec, path: Path) -> Path:
    from lightdepth_export.onnx.trace import export_onnx

    from .network.macs import count_gmacs

    gmacs = count_gmacs(network, spec.input_height, spec.input_width)
    export_onnx(network, spec.with_changes(gmacs=gmacs), path)
    return path
