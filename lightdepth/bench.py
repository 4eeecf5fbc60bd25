"""A bench with PyTorch at hand: checkpoints, untrained networks and the baseline join in."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.bench.bench import BenchResult
from lightdepth_runtime.bench.run import BenchOptions, plan_rows, run_bench
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import SHIPPED_MODEL

__all__ = ["Rival", "bench_models", "export_untrained"]

TORCH = "torch"  # a device of this command alone: the runtime has no torch

Say = Callable[[str], None]


@dataclass(frozen=True)
class Rival:
    """A baseline to time beside our models: its name, and "hub", "random" or a folder of weights."""

    name: str | None = None
    weights: str | None = None


def bench_models(
    models: Sequence[Path],
    frame: NDArray[np.uint8],
    rival: Rival | None = None,
    *,
    frame_name: str,
    options: BenchOptions | None = None,
    say: Say = lambda _: None,
) -> BenchResult:
    """Time models and a baseline side by side: checkpoints are exported to FP32 ONNX, but for the device `torch`.

    Args:
        models: model files; none stands for the shipped model and an untrained resnet18, for its latency.
        frame: uint8 RGB (H, W, 3).
        rival: a baseline; it becomes the first row, which ratios compare with.
        frame_name: what the frame is, for the record.
        options: devices, threads and rounds. Each model gets a row on each device; on `torch` only checkpoints do.
        say: receives a line about each model that is exported for the run.

    Raises:
        LightDepthError: a model can't be opened, an unknown baseline, or its weights are out of reach.
    """
    from .baselines.baseline import Baseline, check_baseline_name
    from .baselines.depth_anything import DEPTH_ANYTHING_SMALL

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lightdepth-")))
        options = options or BenchOptions()
        runtimes = [device for device in options.devices if device != TORCH]
        rows: list[tuple[Path, str]] = []
        if rival is not None:
            name = rival.name or DEPTH_ANYTHING_SMALL
            check_baseline_name(name)
            baseline = stack.enter_context(Baseline(rival.weights or "hub", name))
            say(f"Exporting {baseline.model.name} ({baseline.model.weights} weights) for ONNX Runtime")
            exported = baseline.export(frame.shape[0], frame.shape[1])
            rows += plan_rows([exported], runtimes or ["auto"])
            if baseline.is_random:
                say("Its weights are random: latency, size and memory mean something, its output does not.")
        if not models:
            if SHIPPED_MODEL.is_file():
                rows += plan_rows([SHIPPED_MODEL], runtimes)
            say("No model given: resnet18 at 480x640 joins with random weights, for latency alone.")
            rows += plan_rows([export_untrained("resnet18", folder)], runtimes)
        for number, model in enumerate(models):
            if model.suffix == ".safetensors":
                rows += [(model, "auto")] if TORCH in options.devices else []
                if not runtimes:
                    continue
                say(f"Exporting {model.name} to FP32 ONNX for {', '.join(runtimes)}")
                model = _export_checkpoint(model, folder / str(number))
            rows += plan_rows([model], runtimes)
        if not rows:
            raise LightDepthError("On --device torch only checkpoints (.safetensors) run; name one, or another device.")
        return run_bench(rows, frame, frame_name=frame_name, options=options)


def export_untrained(preset: str, folder: Path) -> Path:
    """Write the ONNX file of a preset with random weights, at the preset's input size."""
    from lightdepth_export.onnx.trace import export_onnx
    from lightdepth_runtime.spec import ModelSpec

    from .checkpoints.checkpoint import build_model, count_parameters
    from .config import check_config
    from .network.macs import count_gmacs

    config = check_config({"model": preset, "encoder_weights": "none"})
    network = build_model(config).eval()
    spec = ModelSpec(
        name=f"lightdepth-{preset}",
        input_height=config.image_height,
        input_width=config.image_width,
        parameters=count_parameters(network),
        gmacs=count_gmacs(network, config.image_height, config.image_width),
    )
    path = folder / f"{spec.name}.onnx"
    export_onnx(network, spec, path)
    return path


def _export_checkpoint(path: Path, folder: Path) -> Path:
    from lightdepth_export.onnx.trace import export_onnx

    from .checkpoints.checkpoint import load_checkpoint
    from .network.macs import count_gmacs

    checkpoint = load_checkpoint(path)
    gmacs = count_gmacs(checkpoint.model, checkpoint.spec.input_height, checkpoint.spec.input_width)
    output = folder / f"{path.stem}.onnx"
    export_onnx(checkpoint.model, checkpoint.spec.with_changes(gmacs=gmacs), output)
    return output
