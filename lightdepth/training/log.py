"""What a finished epoch leaves behind: a row of metrics, curves and pictures in TensorBoard, a line for people."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from lightdepth_runtime.evaluation.evaluate import EvalResult
from lightdepth_runtime.evaluation.prediction import Predictor
from lightdepth_runtime.images.preprocess import resize_depth, resize_rgb
from lightdepth_runtime.pairs import FrameData, PairSet
from lightdepth_runtime.sinks.colorize import DepthRange, colorize, depth_range, with_scale

from ..runs.folder import RunFolder
from .inputs import Say

__all__ = ["draw_validation", "log_epoch", "log_start"]

PANELS = 4
PANEL_WIDTH = 320
COLORMAP = "plasma"


def log_epoch(folder: RunFolder, row: Mapping[str, float], board: SummaryWriter, epochs: int, say: Say) -> None:
    """Write the metrics and curves of a finished epoch; an epoch trained again replaces its row."""
    rows = [old for old in folder.read_metrics() if old["epoch"] < row["epoch"]]
    folder.write_metrics([*rows, row])
    for key, value in row.items():
        if key != "epoch":
            board.add_scalar(key, value, int(row["epoch"]))
    left_s = row["seconds"] * (epochs - row["epoch"])
    scores = f"{_scores(row)}, " if "rmse_m" in row else ""
    say(
        f"epoch {int(row['epoch'])}/{epochs}: loss {row['loss']:.4f}, {scores}"
        f"{row['images_per_s']:.1f} images/s, {_lost(row)}{_left(left_s)}"
    )


def log_start(result: EvalResult, say: Say) -> None:
    """Say what the checkpoint that is fine-tuned scores by itself, to hold each epoch against."""
    say(f"before training: {_scores(result.metrics.to_dict())}")


def _scores(row: Mapping[str, float]) -> str:
    return f"RMSE {row['rmse_m']:.3f} m, AbsRel {row['abs_rel']:.3f}, delta1 {row['delta1']:.3f}"


def _left(seconds: float) -> str:
    """Say how long the epochs that are left will take."""
    if seconds == 0:
        return "done"
    return f"{seconds / 60:.0f} min left" if seconds >= 60 else f"{seconds:.0f} s left"


def draw_validation(predictor: Predictor, validation: PairSet) -> NDArray[np.uint8]:
    """Draw a few fixed pairs as rows: photograph, truth, prediction; a row's depth shares one scale in metres.

    Returns:
        uint8 RGB (H, W, 3). The pairs are the same each time, spread over the set.
    """
    rows = []
    for pair in validation.spread(PANELS).pairs:
        frame = pair.read()
        rows.append(_draw_row(frame, predictor(frame.image)))
    width = max(row.shape[1] for row in rows)
    return np.vstack([np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _draw_row(frame: FrameData, prediction_m: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Put photograph, truth and prediction side by side: (h, w, 3)."""
    height = round(frame.image.shape[0] * PANEL_WIDTH / frame.image.shape[1])
    prediction_m = resize_depth(prediction_m, *frame.depth_m.shape)
    scale: DepthRange = depth_range(frame.depth_m)
    pictures = [frame.image, *(colorize(depth_m, COLORMAP, scale) for depth_m in (frame.depth_m, prediction_m))]
    return with_scale(np.hstack([resize_rgb(picture, height, PANEL_WIDTH) for picture in pictures]), COLORMAP, scale)


def _lost(row: Mapping[str, float]) -> str:
    """Say what an epoch left out, where it did."""
    kinds = (
        ("skipped_batches", "batches skipped (not finite)"),
        ("overflow_steps", "steps overflowed fp16"),
        ("left_out_pairs", "training pairs without a reading left out"),
        ("left_out_validation", "validation pairs without valid depth left out"),
    )
    return "".join(f"{int(row[key])} {words}, " for key, words in kinds if row.get(key))
