"""A teacher's predictions on disk: made once, kept for every epoch and every run."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import make_folder, write_bytes, write_json
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.alignment import DepthFit
from lightdepth_runtime.pairs import Pair, PairSet
from lightdepth_runtime.pairs.file_pair import FilePair
from lightdepth_runtime.processes import share_bounds

from ..data.extra import plain_pair

if TYPE_CHECKING:
    from .ensemble import Ensemble
    from .teacher import Teacher

__all__ = ["TeacherLabel", "cache_folder", "label_pairs"]

SCHEMA = 1  # part of the folder's name: entries of another kind are never read
ID_DIGITS = 16
DIGEST_BYTES = 32


@dataclass(frozen=True)
class TeacherLabel:
    """Where a teacher's prediction of one image lies, and what turns it into metres."""

    path: Path
    fit: DepthFit

    def read(self) -> NDArray[np.float32]:
        """Return the teacher's depth (h, w) of the whole frame in metres, at the teacher's own resolution.

        Raises:
            LightDepthError: the entry was damaged or deleted since the run began.
        """
        prediction = _read_entry(self.path)
        if prediction is None:
            self.path.unlink(missing_ok=True)  # so that the next start makes it again
            raise LightDepthError(f"The teacher's prediction {self.path} is damaged or gone; --resume makes it again.")
        return self.fit.apply(prediction).astype(np.float32)


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
    index = _index_path(folder, pairs)
    known = _read_index(index)
    if all(gather([known is not None])) and known is not None:
        return known
    own = []
    for place in progress(range(*share_bounds(len(pairs), *share))):
        pair = pairs.pairs[place]
        try:
            own.append(_label(teacher, pair, pairs, folder))
        except LightDepthError as error:
            raise LightDepthError(f"{pair.name}: {error}") from error
    labels = gather(own)
    if share[0] == 0:
        write_json(index, [(label.path.name, asdict(label.fit)) for label in labels])
    return labels


def _label(teacher: Teacher | Ensemble, pair: Pair, pairs: PairSet, folder: Path) -> TeacherLabel:
    frame = pair.read()
    path = folder / f"{_image_digest(frame.image)}.npy"
    prediction = _read_entry(path)
    if prediction is None:
        prediction = _halve(teacher(frame.image))
        _write_entry(path, prediction)
    return TeacherLabel(path, teacher.fit(prediction.astype(np.float32), frame.image, frame.depth_m, pairs.intrinsics))


def _image_digest(image: NDArray[np.uint8]) -> str:
    """Return a SHA-256 of an image's size and pixels: the same in every packaging."""
    digest = hashlib.sha256(repr(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _halve(prediction: NDArray[np.float32]) -> NDArray[np.float16]:
    """Store 11 bits: half the disk, and a step of 0.05 %. What float16 can't hold is no depth in metres."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(prediction, -limit, limit).astype(np.float16)


def _write_entry(path: Path, prediction: NDArray[np.float16]) -> None:
    """Write a .npy file that ends in the SHA-256 of what is before."""
    content = io.BytesIO()
    np.save(content, prediction)
    write_bytes(path, content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def _read_entry(path: Path) -> NDArray[np.float16] | None:
    """Return a stored prediction, or None where there is none, or none that is whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    array, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return np.load(io.BytesIO(array), allow_pickle=False) if hashlib.sha256(array).digest() == digest else None


def _index_path(folder: Path, pairs: PairSet) -> Path:
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
    pair = plain_pair(pair)
    if isinstance(pair, FilePair):
        return [pair.color_path, pair.depth_path]
    return [value for value in getattr(pair, "__dict__", {}).values() if isinstance(value, Path)]


def _read_index(path: Path) -> list[TeacherLabel] | None:
    """Return the labels of a set, or None where there is no whole index, or an entry is gone."""
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        labels = [TeacherLabel(path.parent / name, DepthFit(**fit)) for name, fit in rows]
    except (OSError, ValueError, TypeError):
        return None
    return labels if all(label.path.is_file() for label in labels) else None
