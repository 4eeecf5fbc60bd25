"""Export a checkpoint, compared on real pairs: the user's own, or the few that ship with the project."""

from collections.abc import Callable
from pathlib import Path

from lightdepth_export.artifacts import ExportOptions, ExportResult, export_model
from lightdepth_runtime.pairs import load_pairs

from .checkpoint import load_checkpoint
from .macs import count_gmacs
from .torch_backend import TorchBackend

__all__ = ["DEMO_DATA", "export_checkpoint"]

DEMO_DATA = Path(__file__).parent / "demo_data"


def export_checkpoint(
    checkpoint: Path,
    output: Path,
    *,
    data: Path | None = None,
    most_pairs: int = 32,
    input_size: tuple[int, int] | None = None,
    options: ExportOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ExportResult:
    """Write `m.onnx`, the other forms asked for, and the parity report beside them, or nothing.

    Args:
        checkpoint: what `lightdepth train` wrote.
        output: the FP32 file; the others are named after it.
        data: RGB-D pairs whose test split is compared; None takes the demo's TUM pairs.
        most_pairs: how many of them, spread evenly.
        input_size: height and width of the network's input; None keeps those it was trained at.
        options: forms, engine and thresholds.
        say: gets one line about each step.

    Raises:
        LightDepthError: no checkpoint, faulty data, or accuracy that did not survive.
    """
    pairs = load_pairs(data or DEMO_DATA, "test").spread(most_pairs)
    say(f"Parity is judged on {len(pairs)} pairs of {'the demo data (TUM RGB-D)' if data is None else data}")
    loaded = load_checkpoint(checkpoint)
    spec = loaded.spec
    if input_size:
        height, width = input_size
        gmacs = count_gmacs(loaded.model, height, width)
        spec = spec.with_changes(input_height=height, input_width=width, gmacs=gmacs)
    reference = TorchBackend(loaded.model, spec, "cpu")
    return export_model(loaded.model, reference, output, pairs, options=options, say=say)
