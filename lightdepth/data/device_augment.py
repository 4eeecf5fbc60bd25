"""Augmentation of a whole batch on the device: the views of `augment.View`, as a few matrix products and look-ups.

The same windows, mirrorings and colours as on the CPU, since they are drawn there by the same generator. Depth and its
holes are the same to the last bit; an image differs by a grey level here and there, from rounding.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from lightdepth_runtime.spec import ModelSpec

from .frames import FrameBatch
from .sample import Sample

__all__ = ["DeviceAugmentation", "view_depth", "view_image", "view_labels"]


@dataclass(frozen=True)
class DeviceAugmentation:
    """Turns frames into what a step learns from, on the device where they are."""

    spec: ModelSpec
    teacher: ModelSpec | None = None  # of the network whose features are matched

    @torch.no_grad()
    def __call__(self, frames: FrameBatch) -> Sample:
        """Return the batch's views."""
        size = self.spec.input_height, self.spec.input_width
        return Sample(
            image=view_image(frames, self.spec),
            depth_m=self._within_range(view_depth(frames)),
            teacher_m=self._within_range(view_labels(frames, *size)) if frames.label_m is not None else None,
            teacher_image=view_image(frames, self.teacher) if self.teacher else None,
            names=frames.names,
        )

    def _within_range(self, depth_m: Tensor) -> Tensor:
        """Leave out what is beyond the range that is trained: (B, H, W) -> (B, 1, H, W)."""
        return torch.where(depth_m < self.spec.max_depth_m, depth_m, 0.0)[:, None]


def view_image(frames: FrameBatch, spec: ModelSpec) -> Tensor:
    """Return the views of the images at a network's size, coloured and normalised: float32 (B, 3, H, W)."""
    height, width = spec.input_height, spec.input_width
    top, left, rows, columns = frames.window.unbind(1)
    shrinks = (height <= rows) & (width <= columns)  # as `resize_rgb` decides: area averaging, else bilinear
    down = torch.where(
        shrinks[:, None, None],
        _area_weights(top, rows, height, frames.image.shape[1]),
        _linear_weights(top, rows / height, height, frames.image.shape[1], top, rows),
    )  # (B, H, frame's H)
    across = torch.where(
        shrinks[:, None, None],
        _area_weights(left, columns, width, frames.image.shape[2]),
        _linear_weights(left, columns / width, width, frames.image.shape[2], left, columns),
    )  # (B, W, frame's W)
    image = frames.image.permute(0, 3, 1, 2).float()  # (B, h, w, 3) -> (B, 3, h, w)
    resized = down[:, None] @ image @ _mirror(across, frames.is_mirrored)[:, None].mT  # (B, 3, H, W)
    values = resized.round_().clamp_(0, 255).int()
    mean, std = (resized.new_tensor(constants)[:, None] for constants in (spec.mean, spec.std))
    tables = (frames.color_table.mT.float() / 255 - mean) / std  # (B, 256, 3) -> (B, 3, 256)
    batch, channel = (torch.arange(count, device=values.device) for count in values.shape[:2])
    return tables[batch[:, None, None, None], channel[None, :, None, None], values]


def view_depth(frames: FrameBatch) -> Tensor:
    """Return the views of measured depth, each pixel the nearest reading: float32 (B, H, W)."""
    batch = torch.arange(len(frames.zoom), device=frames.zoom.device)[:, None, None]
    return frames.depth_m[batch, frames.rows[:, :, None], frames.columns[:, None, :]] / frames.zoom[:, None, None]


def view_labels(frames: FrameBatch, height: int, width: int) -> Tensor:
    """Return the views of a teacher's depth, which has no holes and its own resolution: float32 (B, H, W)."""
    label_m, label_size = frames.label_m, frames.label_size
    assert label_m is not None, "asked for only where there is a teacher"
    assert label_size is not None, "comes with the labels"
    top, left, rows, columns = frames.window.unbind(1)
    label_rows, label_columns = label_size.unbind(1)
    scale = label_size / frames.frame_size  # (B, 2), a label's pixels a frame's pixel
    zero = torch.zeros_like(top)
    down = _linear_weights(
        top * scale[:, 0], rows * scale[:, 0] / height, height, label_m.shape[1], zero, label_rows
    )  # (B, H, h)
    across = _linear_weights(
        left * scale[:, 1], columns * scale[:, 1] / width, width, label_m.shape[2], zero, label_columns
    )  # (B, W, w)
    return down @ label_m @ _mirror(across, frames.is_mirrored).mT / frames.zoom[:, None, None]


def _area_weights(start: Tensor, extent: Tensor, count: int, size: int) -> Tensor:
    """Return what part of each of `count` equal pieces of a window lies in each pixel: (B, count, size)."""
    step = (extent / count)[:, None, None]
    low = start[:, None, None] + torch.arange(count, device=start.device)[:, None] * step  # (B, count, 1)
    pixel = torch.arange(size, device=start.device)  # (size,)
    return (torch.minimum(low + step, pixel + 1) - torch.maximum(low, pixel)).clamp_min(0) / step


def _linear_weights(start: Tensor, step: Tensor, count: int, size: int, first: Tensor, extent: Tensor) -> Tensor:
    """Return the weights of linear interpolation at the middles of `count` steps from `start`: (B, count, size).

    Beyond the `extent` pixels from `first` the outermost is repeated.
    """
    middle = start[:, None] + (torch.arange(count, device=start.device) + 0.5) * step[:, None] - 0.5  # (B, count)
    place = torch.minimum(torch.maximum(middle, first[:, None]), (first + extent - 1)[:, None])
    return (1 - (place[:, :, None] - torch.arange(size, device=start.device)).abs()).clamp_min(0)


def _mirror(weights: Tensor, is_mirrored: Tensor) -> Tensor:
    """Reverse dimension 1 of (B, n, size) where a view is mirrored."""
    return torch.where(is_mirrored[:, None, None], weights.flip(1), weights)
