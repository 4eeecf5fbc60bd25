"""A recording found in a folder: its pairs, and how they were recognised."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...spec import Intrinsics
from ..depth_unit import DepthUnit
from ..file_pair import FilePair

__all__ = ["Recording", "make_pairs"]


@dataclass(frozen=True)
class Recording:
    """One scene's pairs; `kind` names the packaging, `rule` how colour and depth were matched, `alone` what is left.

    `unread` counts the files among them that are neither colour nor depth, by suffix.
    """

    kind: str
    pairs: list[FilePair]
    rule: str
    alone: int = 0
    unread: Counter[str] = field(default_factory=Counter)


def make_pairs(
    root: Path,
    folder: Path,
    files: Sequence[tuple[Path, Path]],
    unit: DepthUnit | None = None,
    camera: Intrinsics | None = None,
) -> list[FilePair]:
    """Name pairs by their colour file's path from `root`, and their scene by the folder's."""
    scene = folder.name if folder == root else folder.relative_to(root).as_posix()
    return [
        FilePair(color.relative_to(root).as_posix(), scene, str(color), str(depth), unit, camera)
        for color, depth in files
    ]
