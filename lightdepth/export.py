"""Export a checkpoint, compared on real pairs: the user's own, or the few that ship with the project."""

import json
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from lightdepth_export.artifacts import ExportOptions, ExportResult, export_model
from lightdepth_export.parity.frames import Frame
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.metrics import DepthMetrics
from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit
from lightdepth_runtime.pairs import DepthUnit, load_pairs

from .checkpoints.backend import TorchBackend
from .checkpoints.checkpoint import load_checkpoint
from .network.macs import count_gmacs

__all__ = ["DEMO_DATA", "export_checkpoint"]

Track = Callable[[Iterable[Frame], str, int], Iterable[Frame]]
DEMO_DATA = Path(__file__).parent / "demo_data"


def export_checkpoint(
    checkpoint: Path,
    output: Path,
    *,
    data: Path | None = None,
    unit: DepthUnit | None = None,
    most_pairs: int = 32,
    input_size: tuple[int, int] | None = None,
    scores: Path | None = None,
    options: ExportOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Track = lambda frames, _label, _total: frames,
) -> ExportResult:
    """Write `m.onnx`, the other forms asked for, and the parity report beside them, or nothing.

    Args:
        checkpoint: what `lightdepth train` wrote.
        output: the FP32 file; the others are named after it.
        data: RGB-D pairs whose test split is compared; None takes the demo's TUM pairs.
        unit: of its stored depth, over what packaging or list say.
        most_pairs: how many of them, spread evenly.
        input_size: height and width of the network's input; None keeps those it was trained at.
        scores: what `lightdepth eval --json` wrote about this checkpoint; it goes into the files' ModelSpec in place of
            the validation scores of the training.
        options: forms, engine and thresholds.
        say: gets one line about each step.
        progress: wraps the compared frames to show progress.

    Raises:
        LightDepthError: no checkpoint, faulty data or scores, or accuracy that did not survive.
    """
    pairs = load_pairs(data or DEMO_DATA, "test", unit=unit if data else None).spread(most_pairs)
    say(f"Parity is judged on {len(pairs)} pairs of {'the demo data (TUM RGB-D)' if data is None else data}")
    loaded = load_checkpoint(checkpoint)
    if data is not None:
        warn_of_unit(pairs, say, max_depth_m=loaded.spec.max_depth_m)
    spec = loaded.spec.with_changes(scores=read_scores(scores)) if scores else loaded.spec
    if input_size:
        height, width = input_size
        gmacs = count_gmacs(loaded.model, height, width)
        spec = spec.with_changes(input_height=height, input_width=width, gmacs=gmacs)
    reference = TorchBackend(loaded.model, spec, "cpu")
    return export_model(
        loaded.model,
        reference,
        output,
        pairs,
        options=options,
        say=say,
        progress=lambda frames: progress(frames, "Comparing", len(pairs)),
    )


def read_scores(path: Path) -> dict[str, Any]:  # Any: names, counts and metrics
    """Read from an eval result what a model carries: protocol id, data, samples and metrics.

    Raises:
        LightDepthError: no such file, or not an eval result.
    """
    try:
        result = json.loads(path.read_text(encoding="utf-8"))
        metrics = {field.name: float(result[field.name]) for field in fields(DepthMetrics)}
        data = result["data"]
        return {
            "protocol": result["protocol"]["id"],
            "data": f"{data['name']} ({data['split']})",
            "samples": int(result["samples"]),
            **metrics,
        }
    except OSError as error:
        raise LightDepthError(f"Can't read the scores {path}: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise LightDepthError(f"{path} is not an eval result; write one with `lightdepth eval --json FILE`.") from error
