"""Which cached prediction belongs to which pair of a set, so that an unchanged set isn't read to find out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.alignment import DepthFit
from lightdepth_runtime.pairs import Pair, PairSet
from lightdepth_runtime.pairs.file_pair import FilePair

from .label import TeacherLabel

__all__ = ["index_path", "read_index", "write_index"]


def index_path(folder: Path, pairs: PairSet) -> Path:
    """Return where the index of a set stands; sizes and times of the pairs' files are part of its name."""
    digest = hashlib.sha256(repr(pairs.intrinsics).encode())
    for pair in pairs.pairs:
        digest.update(repr(pair).encode())
        for path in filter(Path.exists, _files(pair)):
            state = path.stat()
            digest.update(f"{state.st_size} {state.st_mtime_ns}\n".encode())
    return folder / f"index-{digest.hexdigest()[:32]}.json"


def _files(pair: Pair) -> list[Path]:
    """Return the files that a pair is read from; a packed one tells its shard's checksum instead."""
    if isinstance(pair, FilePair):
        return [pair.color_path, pair.depth_path]
    return [value for value in getattr(pair, "__dict__", {}).values() if isinstance(value, Path)]


def read_index(path: Path) -> list[TeacherLabel] | None:
    """Return the labels of a set, or None where there is no whole index, or an entry is gone."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        labels = [TeacherLabel(path.parent / name, DepthFit(**fit)) for name, fit in rows]
    except (OSError, ValueError, TypeError):
        return None
    return labels if all(label.path.is_file() for label in labels) else None


def write_index(path: Path, labels: Sequence[TeacherLabel]) -> None:
    """Write the labels of a set, in the pairs' order."""
    write_json(path, [(label.path.name, asdict(label.fit)) for label in labels])
