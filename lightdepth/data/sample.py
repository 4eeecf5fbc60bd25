"""What a training step learns from, and what a teacher adds to it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from torch import Tensor

from lightdepth_runtime.spec import ModelSpec

from ..teacher.cache import TeacherLabel

__all__ = ["Lessons", "Sample"]


class Sample(NamedTuple):
    """What a step learns from: one pair, or a batch of them stacked."""

    image: Tensor  # (3, H, W), normalised
    depth_m: Tensor  # (1, H, W), 0 where there is no reading
    teacher_m: Tensor | None  # (1, H, W), the teacher's depth of the same view; 0 beyond max_depth_m
    teacher_image: Tensor | None  # (3, h, w), the same view as the teacher's network wants it
    names: list[str]
    left_out: Sequence[str] = ()  # pairs without a reading, whose places others took

    @property
    def size_bytes(self) -> int:
        """Memory of the tensors."""
        return sum(part.nbytes for part in self if isinstance(part, Tensor))


@dataclass(frozen=True)
class Lessons:
    """What a teacher adds to the pairs: its depth of each, and the spec of its network where features are matched."""

    labels: Sequence[TeacherLabel]
    network: ModelSpec | None = None
