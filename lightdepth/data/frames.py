"""Whole frames and the views drawn for them, for augmentation on the device: a worker only reads and copies bytes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.pairs import Pair
from lightdepth_runtime.spec import ModelSpec

from .augment import Augmentation, View, draw_view

if TYPE_CHECKING:
    from .sample import Lessons

__all__ = ["Frame", "FrameBatch", "TrainingFrames", "collate_frames", "nearest_readings", "no_valid_depth"]

NAMES_SHOWN = 4


class Frame(NamedTuple):
    """One frame as it was recorded, and the view of it to train on."""

    image: NDArray[np.uint8]  # (H, W, 3)
    depth_m: NDArray[np.float32]  # (H, W), 0 where there is no reading
    rows: NDArray[np.int64]  # (height,), which readings the view's depth takes
    columns: NDArray[np.int64]  # (width,)
    label_m: NDArray[np.float32] | None  # (h, w), a teacher's depth of the whole frame
    view: View
    name: str


class FrameBatch(NamedTuple):
    """Frames stacked, those that are smaller than the largest filled up with zeros to the right and below."""

    image: Tensor  # (B, H, W, 3) uint8
    depth_m: Tensor  # (B, H, W) float32
    rows: Tensor  # (B, height) int64
    columns: Tensor  # (B, width) int64
    frame_size: Tensor  # (B, 2) int64, H and W before filling up
    window: Tensor  # (B, 4) int64: top, left, height, width
    zoom: Tensor  # (B,) float32
    is_mirrored: Tensor  # (B,) bool
    color_table: Tensor  # (B, 256, 3) uint8
    label_m: Tensor | None  # (B, h, w) float32
    label_size: Tensor | None  # (B, 2) int64
    names: list[str]


class TrainingFrames(Dataset[Frame]):
    """Whole frames by (pass, index), with the very views that `TrainingPairs` draws for the same seed and key."""

    def __init__(
        self,
        pairs: Sequence[Pair],
        spec: ModelSpec,
        settings: Augmentation,
        seed: int,
        lessons: Lessons | None = None,
    ) -> None:
        self._pairs, self._spec, self._settings, self._seed, self._lessons = pairs, spec, settings, seed, lessons

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, key: tuple[int, int]) -> Frame:
        """Return one frame and a random view of it."""
        number, index = key
        pair = self._pairs[index]
        rng = np.random.default_rng((self._seed, number, index))
        frame = pair.read()
        height, width = frame.depth_m.shape
        view = draw_view(height, width, self._settings, rng)
        label_m = self._lessons.labels[index].read() if self._lessons else None
        rows, columns = nearest_readings(view, self._spec.input_height, self._spec.input_width)
        return Frame(frame.image, frame.depth_m, rows, columns, label_m, view, pair.name)


def nearest_readings(view: View, height: int, width: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the frame's rows (height,) and columns (width,) that `View.depth` takes its readings from."""
    columns = view.left + _nearest(view.width, width)
    return view.top + _nearest(view.height, height), columns[::-1].copy() if view.is_mirrored else columns


def collate_frames(frames: Sequence[Frame], *, max_depth_m: float) -> FrameBatch:
    """Stack frames along a new first dimension.

    Raises:
        LightDepthError: no view has a valid depth, of its own or of a teacher's.
    """
    names = [frame.name for frame in frames]
    if not any(_has_depth(frame, max_depth_m) for frame in frames):
        raise no_valid_depth(names)
    views = [frame.view for frame in frames]
    labels = [frame.label_m for frame in frames if frame.label_m is not None]
    plain = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    tables = [plain if view.color_table is None else view.color_table for view in views]
    return FrameBatch(
        image=_stack([frame.image for frame in frames]),
        depth_m=_stack([frame.depth_m for frame in frames]),
        rows=torch.from_numpy(np.stack([frame.rows for frame in frames])),
        columns=torch.from_numpy(np.stack([frame.columns for frame in frames])),
        frame_size=_sizes([frame.depth_m for frame in frames]),
        window=torch.tensor([(view.top, view.left, view.height, view.width) for view in views]),
        zoom=torch.tensor([view.zoom for view in views], dtype=torch.float32),
        is_mirrored=torch.tensor([view.is_mirrored for view in views]),
        color_table=torch.from_numpy(np.concatenate(tables)),
        label_m=_stack(labels) if labels else None,
        label_size=_sizes(labels) if labels else None,
        names=names,
    )


def no_valid_depth(names: Sequence[str]) -> LightDepthError:
    """Return the error for a batch from which nothing can be learned."""
    return LightDepthError(
        f"A training batch has no valid depth: {', '.join(names[:NAMES_SHOWN])}"
        f"{' ...' if len(names) > NAMES_SHOWN else ''}; check the depth files' unit and remove empty ones."
    )


@lru_cache(maxsize=4096)
def _nearest(extent: int, count: int) -> NDArray[np.int64]:
    """Return which of `extent` pixels stands in the middle of each of `count` equal pieces.

    OpenCV is asked: where the middle falls between two pixels, its versions differ in the one they take.
    """
    cv2 = import_cv2()
    pixels = np.arange(extent, dtype=np.float32)[None]
    return cv2.resize(pixels, (count, 1), interpolation=cv2.INTER_NEAREST_EXACT)[0].astype(np.int64)


def _has_depth(frame: Frame, max_depth_m: float) -> bool:
    """Tell whether a view has anything to learn from."""
    if frame.label_m is not None:
        return True
    depth_m = frame.depth_m[frame.rows][:, frame.columns]
    return bool(((depth_m > 0) & (depth_m < max_depth_m * frame.view.zoom)).any())


def _stack(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    """Copy arrays (h, w, ...) into one tensor (B, H, W, ...) of the largest one's size."""
    height, width = (max(array.shape[axis] for array in arrays) for axis in (0, 1))
    stacked = np.zeros((len(arrays), height, width, *arrays[0].shape[2:]), arrays[0].dtype)
    for place, array in zip(stacked, arrays, strict=True):
        place[: array.shape[0], : array.shape[1]] = array
    return torch.from_numpy(stacked)


def _sizes(arrays: Sequence[NDArray[np.generic]]) -> Tensor:
    return torch.tensor([array.shape[:2] for array in arrays])
