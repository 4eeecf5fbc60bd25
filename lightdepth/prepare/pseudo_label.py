"""Pseudo-labels: a teacher's depth of images without depth, written as pairs that anyone can train on."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import make_folder, write_bytes, write_json, write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.frame import ImageJob
from lightdepth_runtime.images.decode import decode_rgb, read_bytes
from lightdepth_runtime.images.exif import as_stored, orientation_of
from lightdepth_runtime.images.millimetres import depth_as_mm
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.pairs.lists.comments import IN_MILLIMETRES, describe_camera
from lightdepth_runtime.pairs.lists.rows import format_row
from lightdepth_runtime.parallel import Workers, in_batches, open_once, worker_count
from lightdepth_runtime.processes import Processes
from lightdepth_runtime.sinks.open import encode_png
from lightdepth_runtime.spec import Intrinsics

from ..teacher.teacher import Teacher

__all__ = ["PseudoLabels", "agreed_depth", "write_pseudo_labels"]

SCHEMA = "lightdepth.pseudo_labels/1"
LIST_NAME = "train.txt"
RECORD_NAME = "pseudo_labels.json"


@dataclass(frozen=True)
class PseudoLabels:
    """What was written."""

    list_path: Path
    images: int
    written: int  # the others were there already
    kept_share: float  # of the pixels of what was written


def write_pseudo_labels(
    teacher: Teacher,
    images: Sequence[Path],
    output: Path,
    *,
    most_disagreement: float = 0.1,
    focal_px: float | None = None,
    workers: int | None = 1,
    processes: Processes | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Sequence[ImageJob]], Iterable[ImageJob]] = iter,
) -> PseudoLabels:
    """Write `output/NAME_depth.png` for each image, and the pair list `output/train.txt`; images stay where they are.

    A label lies as its image's file stores the pixels: EXIF's orientation, which readers of pairs obey, turns both.
    An interrupted call goes on where it was. The list appears when all depth is written.

    Args:
        teacher: a metric model.
        images: files and folders.
        output: a folder, created.
        most_disagreement: see `agreed_depth`.
        focal_px: the images' focal length in pixels; depth is scaled to it, and the list says it.
        workers: processes that read and write, and each ask a teacher of its own where there is `teacher.own`; else
            this one asks for all. None for as many as the cores and the number of images ask for.
        processes: share the images with this one; the main one alone returns.
        say: told how many files of folders are left out, by suffix.
        progress: wraps the images to show progress.

    Raises:
        LightDepthError: a relative teacher, labels of another teacher or settings in `output`, no images, or images
            that can't be read (the others are written first).
    """
    if teacher.kind != "metric":
        raise LightDepthError(
            f"{teacher.source} predicts relative inverse depth: without measured depth its scale and shift can't be "
            "known; use a metric teacher."
        )
    jobs = plan_jobs(images, output, say=say)
    _claim(output, {"teacher": teacher.id, "most_disagreement": most_disagreement, "focal_px": focal_px})
    processes = processes or Processes()
    share = processes.share(jobs, "images", name=_depth_name)
    with Workers(worker_count(workers, len(share))) as pool:
        if teacher.own and pool.count > 1:
            label = partial(_label, teacher.own, output, most_disagreement, focal_px)
            done = pool.map(label, share, name=_name)
            written = [seen for _, seen in zip(progress(share), done, strict=True)]
        else:
            read = pool.map(partial(_read, output), share, name=_name)
            predicted = _predict_all(teacher, focal_px, (seen for _, seen in zip(progress(share), read, strict=True)))
            written = list(pool.map(partial(_write, output, most_disagreement), predicted, name=_name))
    return _write_list(output, focal_px, [seen for part in processes.merge(written) for seen in part])


def _write_list(output: Path, focal_px: float | None, written: Sequence[_Labelled]) -> PseudoLabels:
    """List what is labelled.

    Raises:
        LightDepthError: images without a label.
    """
    labelled = [seen for seen in written if seen.fault is None]
    rows = [_row(output, seen.job) for seen in labelled]
    if rows:
        sizes = {seen.size for seen in labelled}
        told = [IN_MILLIMETRES]
        if focal_px is not None and len(sizes) == 1:  # one camera for all images
            ((height, width),) = sizes
            camera = Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, width, height)
            told.insert(0, describe_camera(camera))
        write_text(output / LIST_NAME, "\n".join([*told, *rows]) + "\n")
    faults = [(str(seen.job.path), seen.fault) for seen in written if seen.fault is not None]
    failures = [fault if path in fault else f"{path}: {fault}" for path, fault in faults]
    if failures:
        raise LightDepthError(
            f"{len(failures)} of {len(written)} images have no label, the others are in {output}; the first: "
            f"{failures[0]}"
        )
    shares = [seen.share for seen in labelled if seen.share is not None]
    return PseudoLabels(output / LIST_NAME, len(rows), len(shares), float(np.mean(shares)) if shares else 0.0)


def agreed_depth(
    seen: NDArray[np.float32],
    mirrored: NDArray[np.float32],
    size: tuple[int, int],
    factor: float,
    most_disagreement: float,
) -> NDArray[np.float32]:
    """Return the mean (H, W) of an image's depth and its mirror image's (h, w), times `factor`, 0 where it isn't sure.

    That is where the two differ by more than `most_disagreement`, as |ln(a / b)|, and where depth is beyond what 16-bit
    millimetres hold.
    """
    seen, mirrored = resize_depth(seen, *size), resize_depth(mirrored, *size)[:, ::-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        disagreement = np.abs(np.log(seen / mirrored))  # NaN and infinity are no agreement
    depth_m = (seen + mirrored) * (np.float32(factor) / 2)
    sure = (disagreement <= most_disagreement) & (depth_as_mm(depth_m) > 0)
    return np.where(sure, depth_m, np.float32(0))


@dataclass(frozen=True)
class _Labelled:
    """How far an image has come: read, predicted, written; or the fault that ended it. None is what isn't needed."""

    job: ImageJob
    size: tuple[int, int] = (0, 0)
    orientation: int = 1  # EXIF's, which readers of pairs turn depth by as they turn its image
    image: NDArray[np.uint8] | None = None
    predicted: tuple[NDArray[np.float32], NDArray[np.float32], float] | None = None  # two depths (h, w), the factor
    share: float | None = None  # of the pixels, that are labelled
    fault: str | None = None


def _name(item: ImageJob | _Labelled) -> str:
    return str(item.path if isinstance(item, ImageJob) else item.job.path)


def _depth_name(job: ImageJob) -> str:
    return f"{job.stem}_depth.png"


def _row(output: Path, job: ImageJob) -> str:
    return format_row(os.path.relpath(job.path, output.resolve()), _depth_name(job))


def _label(
    own: tuple[str, str, int], output: Path, most_disagreement: float, focal_px: float | None, job: ImageJob
) -> _Labelled:
    """Read an image, ask and write, in a worker."""
    (predicted,) = _predict(open_once(Teacher, *own), focal_px, [_read(output, job)])
    return _write(output, most_disagreement, predicted)


def _read(output: Path, job: ImageJob) -> _Labelled:
    """Read an image, in a worker; one that has its label is not handed on."""
    try:
        _row(output, job)  # refuses a name that the list can't hold
        content = read_bytes(job.path)
        image = decode_rgb(content, job.path)
    except LightDepthError as error:
        return _Labelled(job, fault=str(error))
    height, width = image.shape[:2]
    is_labelled = (output / _depth_name(job)).exists()
    return _Labelled(job, (height, width), orientation_of(content), None if is_labelled else image)


def _predict_all(teacher: Teacher, focal_px: float | None, read: Iterable[_Labelled]) -> Iterator[_Labelled]:
    """Ask the teacher for as many images at a time as it takes with their mirror images."""
    for waiting in in_batches(read, max(1, teacher.batch_size // 2)):
        yield from _predict(teacher, focal_px, waiting)


def _predict(teacher: Teacher, focal_px: float | None, waiting: Sequence[_Labelled]) -> list[_Labelled]:
    """Predict images at once, or, where one of them is at fault, one by one."""
    images = [seen.image for seen in waiting if seen.image is not None]
    if not images:
        return list(waiting)
    try:
        both = [side for image in images for side in (image, np.ascontiguousarray(image[:, ::-1]))]
        depths = iter(teacher.predict_batch(both))
        done = []
        for seen in waiting:
            if seen.image is not None:
                factor = 1.0 if focal_px is None else teacher.depth_factor(focal_px, *seen.size)
                seen = replace(seen, image=None, predicted=(next(depths), next(depths), factor))
            done.append(seen)
        return done
    except LightDepthError as error:
        if len(waiting) == 1:
            return [replace(waiting[0], image=None, fault=str(error))]
        return [one for seen in waiting for one in _predict(teacher, focal_px, [seen])]


def _write(output: Path, most_disagreement: float, seen: _Labelled) -> _Labelled:
    """Write a label, in a worker; only what it says of itself comes back."""
    if seen.predicted is None:
        return seen
    first, mirrored, factor = seen.predicted
    depth_m = agreed_depth(first, mirrored, seen.size, factor, most_disagreement)
    done = replace(seen, predicted=None, share=float((depth_m > 0).mean()))
    try:
        write_bytes(output / _depth_name(seen.job), encode_png(as_stored(depth_as_mm(depth_m), seen.orientation)))
    except LightDepthError as error:
        return replace(done, fault=str(error))
    return done


def _claim(output: Path, settings: dict[str, Any]) -> None:
    """Note what the labels are made with; a folder of other labels is refused."""
    record = {"schema": SCHEMA, **settings}
    path = make_folder(output) / RECORD_NAME
    if path.exists():
        try:
            old = json.loads(path.read_text(encoding="utf-8"))
        except ValueError:
            old = None
        if old != record:
            raise LightDepthError(
                f"{output} holds labels of another teacher or with other settings ({RECORD_NAME}); choose another "
                "--output."
            )
        return
    if (output / LIST_NAME).exists():
        raise LightDepthError(f"{output} holds a {LIST_NAME} that is not of pseudo-labels; choose another --output.")
    write_json(path, record)
