"""What `infer` was asked for, images and streams mixed, and the work itself with progress and a clean interrupt."""

import signal
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from ..atomic import make_folder
from ..backends.backend import sigma_tensor_of
from ..errors import LightDepthError
from ..estimator import DepthEstimator
from ..floor import CameraMount
from ..frames.frame import Frame, ImageJob
from ..frames.web import WebPicture
from ..images.millimetres import LARGEST_MM
from ..progress import track
from ..scale import FloorScale
from ..sigma import MAX_SIGMA, check_max_sigma
from ..sinks.colorize import Colormap, DepthRange
from ..sinks.open import IMAGE_SAVE, IN_MILLIMETRES, RECORDING_SAVE, STREAM_SAVE, Style, open_sinks
from ..sinks.rerun import RerunSink
from .infer import IMAGE_STEM, infer_files, infer_stream
from .inputs import plan_jobs
from .lens import FocalNotice, Lens
from .outcome import Outcome
from .streams import FrameSource, StreamJob, is_stream, open_stream, plan_streams

__all__ = ["InferPlan", "plan_inputs", "run_plan"]

STATUS_INTERVAL_S = 10.0


@dataclass(frozen=True)
class InferPlan:
    """Images and streams, where their results go, and which."""

    images: Sequence[ImageJob]
    streams: Sequence[StreamJob]
    output: Path
    save: frozenset[str] | None  # None: what suits each
    lens: Lens
    notes: tuple[str, ...] = ()  # what `run_plan` says first: how many files of folders are left out

    def describe(self) -> str:
        """Say how much there is."""
        counts = ((len(self.images), "image"), (len(self.streams), "stream"))
        return ", ".join(f"{count} {noun}{'s' * (count > 1)}" for count, noun in counts if count)


def plan_inputs(
    inputs: Sequence[str],
    output: Path,
    save: frozenset[str] | None,
    lens: Lens,
    topic: str | None = None,
) -> InferPlan:
    """Sort inputs into images and streams.

    Raises:
        LightDepthError: nothing named, or what doesn't exist.
    """
    for text in inputs:
        if not text.strip():
            raise LightDepthError("An input is an empty name; name an image, a video or a folder (. is this one).")
        if not is_stream(text) and "://" in text and not Path(text).exists():
            raise LightDepthError(
                f"{text} is an address that isn't read; rtsp, rtmp, http, https, udp and tcp are. Fetch the file and "
                "name it, without file:// before it."
            )
    streams = plan_streams([text for text in inputs if is_stream(text)], topic)
    files = [Path(text) for text in inputs if not is_stream(text)]
    notes: list[str] = []
    images = plan_jobs(files, output, say=notes.append) if files or not streams else []
    if images:
        streams = _named_apart(streams, images)
    return InferPlan(images, streams, output, save, lens, tuple(notes))


def _named_apart(streams: Sequence[StreamJob], images: Sequence[ImageJob]) -> list[StreamJob]:
    """Rename streams whose outputs, or those of their frames (`clip_000000`), would be those of images."""
    taken = {IMAGE_STEM, *(job.stem.lower() for job in images)}

    def is_taken(stem: str) -> bool:
        return any(name == stem.lower() or name.startswith(f"{stem.lower()}_") for name in taken)

    named = []
    for job in streams:
        stem = job.stem
        while is_taken(stem):
            stem = f"{stem}-stream"
        named.append(replace(job, stem=stem))
    return named


def run_plan(
    estimator: DepthEstimator,
    plan: InferPlan,
    *,
    colormap: Colormap = "plasma",
    scale: DepthRange | None = None,
    most_frames: int | None = None,
    view: bool = False,
    steady: bool = False,
    mount: CameraMount | None = None,
    max_sigma: float | None = None,
    scale_from_floor: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> Outcome:
    """Do the images, then each stream; return the files written, counted and the first of them named.

    Raises:
        LightDepthError: of the last that failed; the others are done all the same, and `say` is told of each failure
            before it. `steady` without a stream, `scale_from_floor` without a mount, sigma or `max_sigma` of a model
            without it.
    """
    if steady and not plan.streams:
        raise LightDepthError("--steady smooths videos, cameras and recordings, and no input is one; leave it out.")
    if scale_from_floor and mount is None:
        raise LightDepthError("The scale from the floor needs the camera's height; give --camera-height, and --tilt.")
    if max_sigma is not None or "sigma" in (plan.save or ()):
        sigma_tensor_of(estimator.spec)  # refuses a model without
    max_sigma = MAX_SIGMA if max_sigma is None else max_sigma
    check_max_sigma(max_sigma)
    total = Outcome()
    failed: list[LightDepthError] = []
    notice = FocalNotice(estimator.spec, say)
    for note in plan.notes:
        say(note)
    saved = (IMAGE_SAVE if plan.images else frozenset()) if plan.save is None else plan.save
    if saved & IN_MILLIMETRES and estimator.spec.max_depth_m > LARGEST_MM / 1000:
        say(f"16 bits of millimetres end at {LARGEST_MM / 1000} m: farther is 0, no reading; npy and bag keep it.")
    limits = DepthRange(estimator.spec.min_depth_m, estimator.spec.max_depth_m)
    style = Style(colormap, limits, scale, mount, max_sigma)

    def attempt(work: Callable[[], Outcome]) -> None:
        try:
            done = work()
            total.wrote(done.paths, done.files)
        except LightDepthError as error:
            for before in failed:
                say(f"Left out: {before}")
            failed[:] = [error]

    def images() -> Outcome:
        count = len(plan.images)
        return infer_files(
            estimator,
            plan.images,
            plan.output,
            save=IMAGE_SAVE if plan.save is None else plan.save,
            style=style,
            scale_from_floor=scale_from_floor,
            lens=plan.lens,
            say=say,
            notice=notice,
            progress=lambda jobs: track(jobs, "Inferring", count),
        )

    def stream(job: StreamJob) -> Outcome:
        make_folder(plan.output)
        source = open_stream(job, say)
        with _interrupt_of(source, say) as stop, source:
            usual = RECORDING_SAVE if job.is_recording else STREAM_SAVE
            usual = IMAGE_SAVE if isinstance(source, WebPicture) else usual
            save = usual if plan.save is None else plan.save
            sinks = open_sinks(save, plan.output, job.stem, style, fps=source.fps)
            if view:
                sinks.append(RerunSink(None, max_sigma=max_sigma))
            options = {"lens": plan.lens, "say": say, "notice": notice, "most_frames": most_frames, "steady": steady}
            if scale_from_floor and mount is not None:
                options["floor"] = FloorScale(mount)
            return infer_stream(estimator, _shown(source, job, most_frames, say), sinks, **options, stop=stop)

    if plan.images:
        attempt(images)
    for job in plan.streams:
        attempt(lambda job=job: stream(job))
    if failed:
        raise failed[0]
    return total


@contextmanager
def _interrupt_of(source: FrameSource, say: Callable[[str], None]) -> Generator[Callable[[], bool], None, None]:
    """Let Ctrl-C, or a service manager's SIGTERM, be the normal end of a source that has no other, silent or not.

    A second one changes nothing, since files are being finished then; a third interrupts as always.
    """
    asked: list[int] = []
    if not source.live:
        yield lambda: False
        return

    def remember(number: int, _: object) -> None:
        asked.append(number)
        getattr(source, "end", lambda: None)()  # a source of a caller's own may have no such method
        if len(asked) > 1:
            say("Finishing the files; Ctrl-C once more gives up what is unfinished.")
            restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    try:
        before = {number: signal.signal(number, remember) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: whoever runs it has its own way to stop
        yield lambda: False
        return
    try:
        yield lambda: bool(asked)
    finally:
        restore()


def _shown(source: FrameSource, job: StreamJob, most_frames: int | None, say: Callable[[str], None]) -> Iterable[Frame]:
    """Show progress where the end is known, else the rate now and then."""
    total = min(source.count or most_frames or 0, most_frames or source.count or 0)
    if total:
        return track(source, job.shown, total)
    return _rate(source, job, say)


def _rate(source: FrameSource, job: StreamJob, say: Callable[[str], None]) -> Iterator[Frame]:
    say(f"{job.shown}: running; Ctrl-C ends it and finishes the files")
    start = last = time.monotonic()
    for count, frame in enumerate(source):
        now = time.monotonic()
        if now - last >= STATUS_INTERVAL_S:
            say(f"{job.shown}: {count} frames, {count / (now - start):.1f} a second")
            last = now
        yield frame
