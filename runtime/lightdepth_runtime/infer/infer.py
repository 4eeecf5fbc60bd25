"""Estimate depth of many images and of streams; a damaged frame doesn't stop the others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np

from ..atomic import make_folder
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..frames.frame import DepthFrame, Frame, ImageJob, unknown_camera
from ..images.decode import read_image
from ..scale import FloorScale, correction_from_height
from ..sinks.colorize import DepthRange
from ..sinks.open import IMAGE_SAVE, DepthFiles, open_sinks
from ..sinks.sink import FrameSink, Style
from ..sinks.video import VideoSink
from ..spec import Intrinsics
from ..steady import SteadyDepth
from .inputs import plan_jobs
from .lens import NO_LENS, Lens
from .outcome import Outcome

__all__ = ["estimate_frame", "infer_files", "infer_stream", "plan_jobs"]

Item = TypeVar("Item")
Notice = Callable[[Intrinsics | None, str], None]
IMAGE_STEM = "images"  # of the video and the recording of all images
IMAGE_FPS = 10.0  # images have no times: their video shows ten a second


def infer_files(
    estimator: DepthEstimator,
    jobs: Sequence[ImageJob],
    output: Path,
    *,
    save: Iterable[str] = IMAGE_SAVE,
    style: Style | None = None,
    scale_from_floor: bool = False,
    lens: Lens = NO_LENS,
    say: Callable[[str], None] = lambda _: None,
    notice: Notice = lambda _known, _name: None,
    progress: Callable[[Sequence[ImageJob]], Iterable[ImageJob]] = iter,
) -> Outcome:
    """Estimate depth of each image, at its resolution, and write it as `sinks.open_sinks` says.

    Args:
        estimator: the model.
        jobs: images and the names of their outputs, from `plan_jobs`.
        output: the folder to write into.
        save: which of `SAVE_KINDS` and `SPAN_KINDS`.
        style: how depth is drawn, and what of it is written; by default within the model's range.
        scale_from_floor: correct each image's scale by the floor under the style's camera; one without a floor fails.
        lens: the camera, as far as the user knows it.
        say: told of each image that failed, as it happens, where there are several.
        notice: told of each image's camera, or None, and name; `lens.FocalNotice` is one.
        progress: wraps the jobs to show progress.

    Returns:
        The files written: their count, and the first thousand.

    Raises:
        LightDepthError: the folder can't be written or an input would be overwritten (before the first image), or at
            the end that images failed; the others are written.
    """
    style = style or Style(limits=DepthRange(estimator.spec.min_depth_m, estimator.spec.max_depth_m))
    DepthFiles(output, frozenset(save), style).check_inputs(jobs)
    make_folder(output)

    sinks = open_sinks(save, output, IMAGE_STEM, style, fps=IMAGE_FPS)
    wants_sigma = any(sink.wants_sigma for sink in sinks)
    told: set[int | None] = {None}

    def estimate(numbered: tuple[int, ImageJob]) -> DepthFrame:
        number, job = numbered
        image = read_image(job.path)
        camera, focal_mm = lens.of_photograph(job.path, image) or (None, None)
        if camera is not None and focal_mm not in told and estimator.spec.intrinsics is not None:
            told.add(focal_mm)
            say(
                f"{job.path}: EXIF tells a focal length of {focal_mm} mm on 35 mm film, {camera.fx:.0f} px here; depth "
                "is scaled to it (--no-exif-focal: not)."
            )
        frame = Frame(image, round(number / IMAGE_FPS * 1e9), job.stem, camera)
        done = estimate_frame(estimator, frame, lens, str(job.path), notice=notice, sigma=wants_sigma)
        if scale_from_floor:
            assert style.mount is not None, "the plan asks for the mount first"
            correction_from_height(done.depth_m, _camera(done), style.mount).apply(done.depth_m)
        return done

    numbered = enumerate(progress(jobs))
    say_failure = say if len(jobs) > 1 else lambda _: None  # of a single image it is the error itself
    outcome = _run(numbered, estimate, lambda numbered: str(numbered[1].path), sinks, say, say_failure)
    outcome.check("images", f"in {output}")
    return outcome


def infer_stream(
    estimator: DepthEstimator,
    source: Iterable[Frame],
    sinks: Sequence[FrameSink],
    *,
    lens: Lens = NO_LENS,
    steady: bool = False,
    floor: FloorScale | None = None,
    say: Callable[[str], None] = lambda _: None,
    notice: Notice = lambda _known, _name: None,
    most_frames: int | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Estimate depth of each frame of a stream and give it to the sinks, which are closed at the end.

    Where the source fails midway, what came before it is finished and kept, and its error follows. A sink that fails
    ends everything; what isn't whole is then deleted.

    Args:
        estimator: the model.
        source: frames in order: a video, a camera, a recording, or any iterable.
        sinks: from `sinks.open_sinks`, or others.
        lens: the camera, as far as the user knows it and the frames don't.
        steady: smooth depth from frame to frame (`SteadyDepth`).
        floor: corrects the scale by the floor; `say` is told once of frames that show none.
        say: told of each frame that failed, as it happens.
        notice: as for `infer_files`.
        most_frames: ends the stream after this many.
        stop: asked before each frame; True ends the stream as its own end would.

    Returns:
        The files written: their count, and the first thousand.

    Raises:
        LightDepthError: the source or a sink failed, or frames gave no depth; the others are written.
    """
    ended: list[LightDepthError] = []
    smoothing = SteadyDepth(estimator) if steady else None
    wants_sigma = any(sink.wants_sigma for sink in sinks)
    noted: set[str | None] = {None}

    def until_the_end() -> Iterator[Frame]:
        frames = islice(source, most_frames)
        try:
            while not stop() and (frame := next(frames, None)) is not None:
                yield frame
        except LightDepthError as error:
            ended.append(error)

    def estimate(frame: Frame) -> DepthFrame:
        done = estimate_frame(estimator, frame, lens, steady=smoothing, notice=notice, sigma=wants_sigma)
        if floor is not None and (note := floor.apply(done.depth_m, _camera(done))) not in noted:
            noted.add(note)
            say(f"{frame.name}: {note} Until then the last floor's scale is kept.")
        return done

    outcome = _run(until_the_end(), estimate, lambda frame: frame.name, sinks, say, say)
    if ended:
        raise ended[0]
    outcome.check("frames")
    return outcome


def estimate_frame(
    estimator: DepthEstimator,
    frame: Frame,
    lens: Lens = NO_LENS,
    shown: str | None = None,
    *,
    steady: SteadyDepth | None = None,
    notice: Notice = lambda _known, _name: None,
    sigma: bool = False,
) -> DepthFrame:
    """Return a frame with its depth, whose scale is corrected where both cameras are known: its own and the training's.

    The model's sigma is with it where it is wanted and the model has it.

    Raises:
        LightDepthError: the estimator's, a camera of another shape than the frame, or depth that is not finite; `shown`
            names the frame in it, and to `notice`.
    """
    known, trained = lens.known(frame), estimator.spec.intrinsics
    notice(known, shown or frame.name)
    focal_px = known.fx if known and trained else None
    if steady is not None:
        depth_m = steady(frame.image, frame.stamp_ns, focal_px=focal_px)
        sigmas = steady.sigma if sigma else None
    elif sigma:
        depth_m, sigmas = estimator.depth_and_sigma(frame.image, focal_px=focal_px)
    else:
        depth_m, sigmas = estimator(frame.image, focal_px=focal_px), None
    if not np.isfinite(depth_m).all():
        raise LightDepthError(
            f"{shown or frame.name}: the model's depth has NaN or infinite values; export the model again in FP32."
        )
    height, width = depth_m.shape
    return DepthFrame(frame, depth_m, known or (trained and trained.scaled_to(width, height)), sigmas)


def _camera(done: DepthFrame) -> Intrinsics:
    """Return the camera of a frame, or the one that the model takes it for.

    Raises:
        LightDepthError: neither is known.
    """
    if done.camera is None:
        raise unknown_camera(f"The floor of {done.frame.name} needs")
    return done.camera


def _run(
    items: Iterable[Item],
    estimate: Callable[[Item], DepthFrame],
    name: Callable[[Item], str],
    sinks: Sequence[FrameSink],
    say: Callable[[str], None],
    say_failure: Callable[[str], None],
) -> Outcome:
    """Give each item's depth to the sinks, close them, say what is in videos; on an error, drop what is unfinished."""
    outcome = Outcome()
    try:
        for item in items:
            outcome.frames += 1
            try:
                done = estimate(item)
            except LightDepthError as error:
                outcome.left_out(name(item), error)
                say_failure(f"Left out: {error}")
                continue
            for sink in sinks:
                outcome.wrote(sink.write(done))
        for sink in sinks:
            outcome.wrote(paths := sink.close())
            if paths and isinstance(sink, VideoSink):
                say(sink.describe())
    except BaseException:
        with ExitStack() as aborts:  # every sink's, even where another's fails, as on a full disk
            for sink in sinks:
                aborts.callback(sink.abort)
        raise
    return outcome
