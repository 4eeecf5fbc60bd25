"""A teacher's predictions on disk: made once, kept for every epoch and every run."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import make_folder
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import Pair, PairSet

from .ensemble import Ensemble
from .index import index_path, read_index, write_index
from .label import TeacherLabel, halve, read_entry, write_entry
from .teacher import Teacher

__all__ = ["cache_folder", "label_pairs"]

SCHEMA = 1  # part of the folder's name: entries of another kind are never read
ID_DIGITS = 16


def cache_folder(chosen: str | None) -> Path:
    """Return the folder of all teachers' predictions: the chosen one, or the user's cache."""
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lightdepth" / "teachers"


def label_pairs(
    teacher: Teacher | Ensemble,
    pairs: PairSet,
    folder: Path,
    *,
    share: tuple[int, int] = (0, 1),
    gather: Callable[[list[Any]], list[Any]] = list,  # Any: of one kind
    progress: Callable[[Sequence[int]], Iterable[int]] = iter,
) -> list[TeacherLabel]:
    """Predict every image that `folder` has no whole prediction of, and return all labels in the pairs' order.

    An entry is named by the teacher's SHA-256 and the image's, and carries its own checksum; an interrupted call goes
    on where it was. Which entries a set of pairs has is kept too: where its files are unchanged, no image is read.

    Args:
        teacher: predicts.
        pairs: to label.
        folder: of all teachers' entries.
        share: (n, m) of process n of m that label together: each takes its part of the pairs.
        gather: puts the processes' lists together, in their order.
        progress: wraps the numbers of the pairs to show progress.

    Raises:
        LightDepthError: a pair that can't be read, a prediction that fails, a relative teacher and an image without
            depth (each names the image), or a folder that can't be written.
    """
    folder = make_folder(folder / f"{teacher.id[:ID_DIGITS]}-{SCHEMA}")
    index = index_path(folder, pairs)
    known = read_index(index)
    if all(gather([known is not None])) and known is not None:
        return known
    number, processes = share
    own = []
    for place in progress(range(len(pairs) * number // processes, len(pairs) * (number + 1) // processes)):
        pair = pairs.pairs[place]
        try:
            own.append(_label(teacher, pair, pairs, folder))
        except LightDepthError as error:
            raise LightDepthError(f"{pair.name}: {error}") from error
    labels = gather(own)
    if number == 0:
        write_index(index, labels)
    return labels


def _label(teacher: Teacher | Ensemble, pair: Pair, pairs: PairSet, folder: Path) -> TeacherLabel:
    frame = pair.read()
    path = folder / f"{_image_digest(frame.image)}.npy"
    prediction = read_entry(path)
    if prediction is None:
        prediction = halve(teacher(frame.image))
        write_entry(path, prediction)
    return TeacherLabel(path, teacher.fit(prediction.astype(np.float32), frame.image, frame.depth_m, pairs.intrinsics))


def _image_digest(image: NDArray[np.uint8]) -> str:
    """Return a SHA-256 of an image's size and pixels: the same in every packaging."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()
