"""The `eval` command: a model's scores on RGB-D pairs under a named protocol."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from ..processes import Join, work_alone
from .options import Data, DepthScale, Device, Json, Model, Split, Threads, Workers
from .scoring import Align, Average, CropName, Focal, MaxDepth, ProtocolName, Sequence, Tta

if TYPE_CHECKING:
    from ..evaluation.evaluate import EvalResult
    from ..evaluation.sequence import SequenceResult

__all__ = ["eval_command", "make_eval_command"]

# What each metric is called in papers, and its unit.
METRIC_LABELS = {
    "rmse_m": ("RMSE", "m"),
    "mae_m": ("MAE", "m"),
    "abs_rel": ("AbsRel", ""),
    "sq_rel": ("SqRel", "m"),
    "log10": ("log10", ""),
    "silog": ("SILog", "x 100"),
    "delta1": ("delta < 1.25", ""),
    "delta2": ("delta < 1.25^2", ""),
    "delta3": ("delta < 1.25^3", ""),
}


def make_eval_command(join: Join) -> Callable[..., None]:
    """Return the command, for the processes that `join` brings together."""

    def eval_command(
        data: Data,
        model: Model = None,
        split: Split = "test",
        depth_scale: DepthScale = None,
        protocol: ProtocolName = None,
        crop: CropName = None,
        max_depth: MaxDepth = None,
        align: Align = "none",
        average: Average = None,
        focal: Focal = "off",
        tta: Tta = False,
        sequence: Sequence = False,
        device: Device = "auto",
        threads: Threads = None,
        workers: Workers = None,
        json: Json = None,
    ) -> None:
        """Score a model on RGB-D pairs with ground truth."""
        from ..atomic import atomic_path, write_json
        from ..errors import LightDepthError
        from ..estimator import DepthEstimator
        from ..evaluation.evaluate import OwnModel, evaluate
        from ..evaluation.protocol import ProtocolParts, choose_protocol
        from ..evaluation.sequence import SequenceResult, evaluate_sequence
        from ..evaluation.unit_suspects import warn_of_unit
        from ..models.find import find_model
        from ..pairs import load_pairs
        from ..parallel import worker_count
        from ..progress import track

        parts = ProtocolParts(align, tta, crop, max_depth, average, focal == "on")
        with join(device) as processes:
            pairs = load_pairs(data, split, unit=depth_scale)
            for note in pairs.notes:
                print(note)
            # Reserving the file first tells of a folder that can't be written before the work is done.
            reserve = atomic_path(json) if json else nullcontext()
            with reserve as reserved, DepthEstimator.load(model, device, threads) as estimator:
                is_on_cpu = estimator.backend.device == "cpu"
                range_m = estimator.spec.max_depth_m
                chosen = choose_protocol(protocol, parts, packaging=pairs.packaging, range_m=range_m)
                warn_of_unit(pairs, max_depth_m=chosen.max_depth_m)
                progress = partial(track, label="Evaluating")
                if sequence:
                    if processes.count > 1:
                        raise LightDepthError(
                            "--sequence follows one video from frame to frame, in one process; leave the launcher out."
                        )
                    result = evaluate_sequence(estimator, pairs, chosen, progress=progress)
                else:
                    result = evaluate(
                        estimator,
                        pairs,
                        chosen,
                        model=estimator.describe(),
                        batch_size=estimator.batch_size,
                        workers=worker_count(workers, len(pairs) // processes.count),
                        own=OwnModel(find_model(model), device, threads or 1) if is_on_cpu else None,
                        processes=processes,
                        progress=progress,
                    )
                if reserved:
                    write_json(reserved, result.to_dict())
        _show_sequence(result) if isinstance(result, SequenceResult) else _show(result)

    return eval_command


eval_command = make_eval_command(work_alone)


def _show(result: EvalResult) -> None:
    from rich.console import Console

    from ..evaluation.scores import RESAMPLES
    from ..table import Column, Table, number, print_table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Model     {result.model}")
    left_out = f", {result.left_out} without valid depth left out" if result.left_out else ""
    console.print(f"Data      {result.data} ({result.packaging}), {result.split}: {result.samples} pairs{left_out}")
    console.print(f"Protocol  {result.protocol.describe()}")
    if result.protocol.focal and result.focal_unknown:
        unknown = f"{result.focal_unknown} of {result.samples} pairs"
        console.print(f"Focal     {unknown} are scored as they are: their camera or the model's is unknown")
    rows = []
    for name, value in result.metrics.to_dict().items():
        label, unit = METRIC_LABELS[name]
        low, high = result.scores.interval[name]
        rows.append([label, number(value, ".4f"), f"{low:.4f} - {high:.4f}", unit])
    words = [Column("95 % interval", is_words=True), Column("unit", is_words=True)]
    print_table(Table("", [Column("metric"), Column("value"), *words], rows))
    if result.confidence:
        sure = result.confidence
        console.print(
            f"Sigma     the least certain 20 % of the pixels hold {100 * sure.worst_20_share:.0f} % of the squared "
            f"error; the others' RMSE is {sure.rmse_best_80_m:.4f} m; AUSE {sure.ause_m:.4f} m"
        )
        console.print(
            f"Coverage  {100 * sure.coverage_68:.1f} % in the 68 % interval, "
            f"{100 * sure.coverage_95:.1f} % in the 95 % interval"
        )
    console.print(f"Intervals: {result.scores.resampled} drawn anew, {RESAMPLES} times")


def _show_sequence(result: SequenceResult) -> None:
    from rich.console import Console

    from ..table import Column, Table, number, print_table

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Model     {result.model}")
    console.print(f"Data      {result.data}: {result.frames} frames")
    console.print(f"Protocol  {result.protocol.describe()}")
    rows = [
        [label, *(number(getattr(score, name), ".4f") for score in (result.plain, result.steady)), unit]
        for name, (label, unit) in {"flicker": ("flicker", "a frame"), **METRIC_LABELS}.items()
        if hasattr(result.plain, name)
    ]
    columns = [Column("metric"), Column("plain"), Column("steady"), Column("unit", is_words=True)]
    print_table(Table("", columns, rows))
    console.print(f"Flicker: mean change of log depth that the truth does not share, over {result.transitions} steps")
