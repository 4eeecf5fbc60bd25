"""A contact sheet: a few pairs of each split as photograph, depth in metres, and depth's outlines on the photograph."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import write_bytes
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.images.preprocess import resize_rgb
from lightdepth_runtime.pairs import DepthUnit, FrameData, Pair, load_pairs
from lightdepth_runtime.sinks.colorize import DepthRange, colorize, with_scale
from lightdepth_runtime.sinks.open import encode_png

__all__ = ["draw_sheet"]

PAIRS = 6
WIDTH = 260
CAPTION_HEIGHT = 18
COLORMAP = "turbo"
OUTLINE_RGB = (255, 40, 40)
OUTLINE_STEP = 0.05  # of depth between neighbouring pixels of the sheet
FAR_PERCENTILE = 99


def draw_sheet(root: Path, splits: list[str], path: Path, unit: DepthUnit | None = None) -> None:
    """Draw the pairs of each split on one scale of depth, so that a wrong unit is seen at once; written atomically.

    Raises:
        LightDepthError: no pair can be read, or the file can't be written.
    """
    found = {split: load_pairs(root, split, missing_ok=True, unit=unit).spread(PAIRS) for split in splits}
    chosen = [(split, pair) for split, pairs in found.items() for pair in pairs.pairs]
    frames = [(split, pair, frame) for split, pair in chosen if (frame := _read(pair)) is not None]
    if not frames:
        raise LightDepthError(f"No pair of {root} can be read, so there is no picture to draw; mend the files first.")
    readings = [frame.depth_m[frame.depth_m > 0] for _, _, frame in frames]
    far_m = max((float(np.percentile(values, FAR_PERCENTILE)) for values in readings if values.size), default=1.0)
    scale = DepthRange(0.0, max(far_m, 0.1))
    rows = [_draw(frame, f"{split}: {pair.name}", scale) for split, pair, frame in frames]
    height, width = (max(row.shape[axis] for row in rows) for axis in (0, 1))
    cells = [
        np.pad(row, ((0, height - row.shape[0]), (0, width - row.shape[1] + 8), (0, 0)), constant_values=255)
        for row in rows
    ]
    if len(cells) % 2:
        cells.append(np.full_like(cells[0], 255))
    sheet = np.vstack([np.hstack(cells[i : i + 2]) for i in range(0, len(cells), 2)])
    write_bytes(path, encode_png(with_scale(sheet, COLORMAP, scale)))


def _read(pair: Pair) -> FrameData | None:
    """Read a pair; the report, not the picture, tells about one that can't be read."""
    try:
        return pair.read()
    except LightDepthError:
        return None


def _draw(frame: FrameData, caption: str, scale: DepthRange) -> NDArray[np.uint8]:
    """Draw one pair: (h + caption, 3 WIDTH, 3)."""
    cv2 = import_cv2()
    height = max(1, round(frame.image.shape[0] * WIDTH / frame.image.shape[1]))
    photo = resize_rgb(frame.image, height, WIDTH)
    depth_m = cv2.resize(frame.depth_m, (WIDTH, height), interpolation=cv2.INTER_NEAREST)
    overlay = photo.copy()
    overlay[_outlines(depth_m)] = OUTLINE_RGB
    picture = np.hstack([photo, colorize(depth_m, COLORMAP, scale), overlay])
    strip = np.full((CAPTION_HEIGHT, picture.shape[1], 3), 255, np.uint8)
    cv2.putText(strip, caption[-100:], (3, 13), cv2.FONT_HERSHEY_SIMPLEX, 0.42, (30, 30, 30), 1, cv2.LINE_AA)
    return np.vstack([strip, picture])


def _outlines(depth_m: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return where depth jumps to the pixel right or below, both with a reading: (h, w)."""
    known = depth_m > 0
    logs = np.log(np.where(known, depth_m, 1.0))
    result = np.zeros_like(known)
    result[:, :-1] |= (np.abs(np.diff(logs, axis=1)) > OUTLINE_STEP) & known[:, 1:] & known[:, :-1]
    result[:-1] |= (np.abs(np.diff(logs, axis=0)) > OUTLINE_STEP) & known[1:] & known[:-1]
    return result
