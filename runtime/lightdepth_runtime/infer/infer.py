"""Estimate depth of many images and of streams; a damaged frame doesn't stop the others."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import make_folder
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..frames.frame import Frame, FrameSink, ImageJob, SigmaSink, unknown_camera
from ..images.decode import read_image
from ..scale import FloorScale, correction_from_height
from ..sinks.colorize import DepthRange
from ..sinks.open import IMAGE_SAVE, DepthFiles, Style, open_sinks
from ..sinks.video import VideoSink
from ..spec import Intrinsics
from ..steady import SteadyDepth
from .inputs import plan_jobs
from .lens import NO_LENS, Lens
from .outcome import Outcome

__all__ = ["estimate_frame", "infer_files", "infer_stream", "plan_jobs"]

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

    told: set[int] = set()

    def camera_of(job: ImageJob, image: NDArray[np.uint8]) -> Intrinsics | None:
        found = lens.of_photograph(job.path, image)
        if found is None:
            return None
        camera, focal_mm = found
        if focal_mm not in told and estimator.spec.intrinsics is not None:
            told.add(focal_mm)
            say(
                f"{job.path}: EXIF tells a focal length of {focal_mm} mm on 35 mm film, {camera.fx:.0f} px here; depth "
                "is scaled to it (--no-exif-focal: not)."
            )
        return camera

    def write_all(sinks: Sequence[FrameSink], outcome: Outcome) -> None:
        for number, job in enumerate(progress(jobs)):
            outcome.frames += 1
            try:
                image = read_image(job.path)
                frame = Frame(image, round(number / IMAGE_FPS * 1e9), job.stem, camera_of(job, image))
                wanted = _wants_sigma(sinks)
                depth_m, sigma = estimate_frame(estimator, frame, lens, str(job.path), notice=notice, sigma=wanted)
                if scale_from_floor:
                    assert style.mount is not None, "the plan asks for the mount first"
                    correction_from_height(depth_m, _camera(frame, lens, estimator), style.mount).apply(depth_m)
            except LightDepthError as error:
                outcome.left_out(str(job.path), error)
                if len(jobs) > 1:
                    say(f"Left out: {error}")
                continue
            _give(sinks, frame, depth_m, sigma, estimator, lens, outcome)

    outcome = _finish(open_sinks(save, output, IMAGE_STEM, style, fps=IMAGE_FPS), write_all, say)
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
    noted: set[str | None] = {None}

    def write_all(sinks: Sequence[FrameSink], outcome: Outcome) -> None:
        frames = iter(source)
        while not stop() and (most_frames is None or outcome.frames < most_frames):
            try:
                frame = next(frames)
            except StopIteration:
                return
            except LightDepthError as error:
                ended.append(error)
                return
            outcome.frames += 1
            try:
                wanted = _wants_sigma(sinks)
                depth_m, sigma = estimate_frame(estimator, frame, lens, steady=smoothing, notice=notice, sigma=wanted)
                if floor is not None and (note := floor.apply(depth_m, _camera(frame, lens, estimator))) not in noted:
                    noted.add(note)
                    say(f"{frame.name}: {note} Until then the last floor's scale is kept.")
            except LightDepthError as error:
                outcome.left_out(frame.name, error)
                say(f"Left out: {error}")
                continue
            _give(sinks, frame, depth_m, sigma, estimator, lens, outcome)

    outcome = _finish(sinks, write_all, say)
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
) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
    """Return a frame's depth, its scale corrected where both cameras are known: the frame's and the training's.

    With it comes the model's sigma where it is wanted and the model has it.

    Raises:
        LightDepthError: the estimator's, a camera of another shape than the frame, or depth that is not finite; `shown`
            names the frame in it, and to `notice`.
    """
    known = lens.known(frame)
    notice(known, shown or frame.name)
    focal_px = known.fx if known and estimator.spec.intrinsics else None
    if steady is not None:
        depth_m = steady(frame.image, frame.stamp_ns, focal_px=focal_px)
        return depth_m, steady.sigma if sigma else None
    sigmas = None
    if sigma:
        depth_m, sigmas = estimator.depth_and_sigma(frame.image, focal_px=focal_px)
    else:
        depth_m = estimator(frame.image, focal_px=focal_px)
    if not np.isfinite(depth_m).all():
        raise LightDepthError(
            f"{shown or frame.name}: the model's depth has NaN or infinite values; export the model again in FP32."
        )
    return depth_m, sigmas


def _camera(frame: Frame, lens: Lens, estimator: DepthEstimator) -> Intrinsics:
    """Return the camera of a frame, or the one that the model takes it for.

    Raises:
        LightDepthError: neither is known.
    """
    camera = lens.camera(frame, estimator.spec)
    if camera is None:
        raise unknown_camera(f"The floor of {frame.name} needs")
    return camera


def _wants_sigma(sinks: Sequence[FrameSink]) -> bool:
    return any(isinstance(sink, SigmaSink) and sink.wants_sigma for sink in sinks)


def _give(
    sinks: Sequence[FrameSink],
    frame: Frame,
    depth_m: NDArray[np.float32],
    sigma: NDArray[np.float32] | None,
    estimator: DepthEstimator,
    lens: Lens,
    outcome: Outcome,
) -> None:
    camera = lens.camera(frame, estimator.spec)
    for sink in sinks:
        if isinstance(sink, SigmaSink):
            outcome.wrote(sink.write(frame, depth_m, camera, sigma))
        else:
            outcome.wrote(sink.write(frame, depth_m, camera))


def _finish(
    sinks: Sequence[FrameSink],
    write_all: Callable[[Sequence[FrameSink], Outcome], None],
    say: Callable[[str], None],
) -> Outcome:
    """Run the work, close the sinks, say what is in videos; on an error, delete what is unfinished."""
    outcome = Outcome()
    try:
        write_all(sinks, outcome)
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
