"""Estimate depth of many images; a damaged one doesn't stop the others."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .atomic import make_folder
from .colorize import Colormap, DepthRange
from .errors import LightDepthError
from .estimator import DepthEstimator
from .images import read_image
from .sinks import SAVE_KINDS, DepthFiles
from .sources import ImageJob, plan_jobs

__all__ = ["infer_files", "plan_jobs"]

MOST_NAMED = 3  # failures named in the last sentence; each was reported when it happened


def infer_files(
    estimator: DepthEstimator,
    jobs: Sequence[ImageJob],
    output: Path,
    *,
    save: Iterable[str] = SAVE_KINDS,
    colormap: Colormap = "plasma",
    scale: DepthRange | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Sequence[ImageJob]], Iterable[ImageJob]] = iter,
) -> list[Path]:
    """Estimate depth of each image, at its resolution, and write it as `sinks.DepthFiles` says.

    Args:
        estimator: the model.
        jobs: images and the names of their outputs, from `plan_jobs`.
        output: the folder to write into.
        save: which of `SAVE_KINDS`.
        colormap: of the colour picture.
        scale: one range in metres for all colour pictures; without it each has its own.
        say: told of each image that failed, as it happens, where there are several.
        progress: wraps the jobs to show progress.

    Returns:
        The files written.

    Raises:
        LightDepthError: the folder can't be written or an input would be overwritten (before the first image), or at
            the end that images failed; the others are written.
    """
    limits = DepthRange(estimator.spec.min_depth_m, estimator.spec.max_depth_m)
    files = DepthFiles(output, frozenset(save), colormap, limits, scale)
    files.check_inputs(jobs)
    make_folder(output)
    written: list[Path] = []
    failed: list[tuple[ImageJob, LightDepthError]] = []
    for job in progress(jobs):
        try:
            depth_m = _depth_of(estimator, job.path)
        except LightDepthError as error:
            failed.append((job, error))
            if len(jobs) > 1:
                say(f"Left out: {error}")
            continue
        written += files.write(depth_m, job.stem)
    if failed:
        raise failed[0][1] if len(jobs) == 1 else _summary(failed, len(jobs), output)
    return written


def _depth_of(estimator: DepthEstimator, path: Path) -> NDArray[np.float32]:
    depth_m = estimator(read_image(path))
    if not np.isfinite(depth_m).all():
        raise LightDepthError(f"{path}: the model's depth has NaN or infinite values; export the model again in FP32.")
    return depth_m


def _summary(failed: Sequence[tuple[ImageJob, LightDepthError]], count: int, output: Path) -> LightDepthError:
    names = ", ".join(str(job.path) for job, _ in failed[:MOST_NAMED])
    more = f" and {len(failed) - MOST_NAMED} more" if len(failed) > MOST_NAMED else ""
    rest = f"the depth of the others is in {output}" if len(failed) < count else "nothing was written"
    return LightDepthError(f"{len(failed)} of {count} images failed ({names}{more}); {rest}.")
