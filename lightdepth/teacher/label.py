"""One prediction of a teacher on disk, with its own checksum, and what turns it into metres."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import write_bytes
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.alignment import DepthFit

__all__ = ["TeacherLabel", "halve", "read_entry", "write_entry"]

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
        prediction = read_entry(self.path)
        if prediction is None:
            self.path.unlink(missing_ok=True)  # so that the next start makes it again
            raise LightDepthError(f"The teacher's prediction {self.path} is damaged or gone; --resume makes it again.")
        return self.fit.apply(prediction).astype(np.float32)


def halve(prediction: NDArray[np.float32]) -> NDArray[np.float16]:
    """Store 11 bits: half the disk, and a step of 0.05 %. What float16 can't hold is no depth in metres."""
    limit = float(np.finfo(np.float16).max)
    return np.clip(prediction, -limit, limit).astype(np.float16)


def write_entry(path: Path, prediction: NDArray[np.float16]) -> None:
    """Write a .npy file that ends in the SHA-256 of what is before."""
    content = io.BytesIO()
    np.save(content, prediction)
    write_bytes(path, content.getvalue() + hashlib.sha256(content.getvalue()).digest())


def read_entry(path: Path) -> NDArray[np.float16] | None:
    """Return a stored prediction, or None where there is none, or none that is whole."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    array, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    return np.load(io.BytesIO(array), allow_pickle=False) if hashlib.sha256(array).digest() == digest else None
