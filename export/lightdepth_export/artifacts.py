"""Export a network: write its files and their parity report side by side, all of them or none."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import onnx
from torch import nn

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import Backend, open_backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import Protocol, choose_protocol
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.parallel import Workers
from lightdepth_runtime.spec import ModelSpec

from .engine import BatchRange, BuildOptions, can_build_here, engine_for, engine_here
from .files import all_or_nothing, remove_stale_forms
from .onnx.forms import FP16_STEP, Form, fp16_form, fp32_form, int8_forms
from .onnx.fp16_simulation import measure_overflow
from .onnx.trace import trace_onnx
from .parity.compare import Progress, check_frame_parity, check_parity
from .parity.frames import FrameSource, check_frames, read_frames
from .parity.gate import ParityReport, ParityThresholds, StepParity, gate
from .parity.golden import check_golden_folder, write_golden

__all__ = ["ExportOptions", "ExportResult", "export_model"]

OVERFLOW_IMAGES = 16  # the range of activations settles within a few images, and each costs a full inference
CALIBRATION_IMAGES = 32
INT8_MARGIN = 0.75  # INT8 aims at this share of its threshold: the images it is tuned on are not those it is judged on
GOLDEN_MARGIN = 2.0  # an integrator's other GPU may round a little differently from what was measured here
DYNAMIC_BATCH = BatchRange(1, 1, 8)  # of an engine whose ONNX leaves the batch open; the engine command takes others


@dataclass(frozen=True)
class ExportOptions:
    """What to write beside the FP32 ONNX, and how much it may change.

    `frame_size` (height, width) adds files that take a camera's frame; `calibration` gives INT8's images, best from
    the training split; without it INT8 is calibrated on the images that it is judged on. `engine` makes a TensorRT
    engine on this machine's GPU a must; without it one is built with FP16 where a GPU is. `engine_for` names GPUs
    ("sm86") for a TensorRT-RTX engine, which needs none. `workers` read the images and measure; this process runs the
    models.
    """

    fp16: bool = False
    int8: bool = False
    dynamic_batch: bool = False
    frame_size: tuple[int, int] | None = None
    golden: Path | None = None
    calibration: FrameSource | None = None
    engine: bool = False
    engine_for: tuple[str, ...] = ()
    thresholds: ParityThresholds = field(default_factory=ParityThresholds)
    threads: int | None = None
    workers: int = 1


@dataclass(frozen=True)
class ExportResult:
    """Where the files are, and what was measured.

    `engine_note` says in one sentence which engine was built, or what to run on the target.
    """

    fp32: Path
    fp16: Path | None
    parity: Path
    report: ParityReport
    engine_note: str
    others: tuple[Path, ...] = ()

    def paths(self) -> list[Path]:
        """Return every file that was written."""
        return [path for path in (self.fp32, self.fp16, *self.others, self.parity) if path is not None]


def export_model(
    network: nn.Module,
    reference: Backend,
    output: Path,
    frames: FrameSource,
    *,
    options: ExportOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Progress = iter,
) -> ExportResult:
    """Write `m.onnx`, the other forms that are asked for, and `m.parity.json` after all passed on real images.

    The files stand in a temporary folder until all passed; on any failure nothing is left of them, and files of an
    earlier export stay as they were. On success its forms that were not made again are removed.

    Args:
        network: maps (B, 3, H, W) to metres (B, 1, H, W).
        reference: the same network behind a backend; its spec goes into the files and gives the input size.
        output: the FP32 file; the others are named after it.
        frames: RGB-D pairs, or image files; at least one.
        options: forms, thresholds, engine.
        say: gets one line about each step.
        progress: wraps the frames to show progress.

    Raises:
        LightDepthError: not an .onnx path, no frames, options that exclude each other, an engine that can't be built,
            the folder can't be written, or a figure past its threshold.
    """
    options = options or ExportOptions()
    _check(output, frames, options)
    spec = reference.spec
    with all_or_nothing(output) as folder:
        say(f"Tracing {spec.name} at {spec.input_width}x{spec.input_height}")
        forms = _make_forms(network, reference, frames, options, say)
        say(f"Comparing {', '.join(form.step for form in forms)} with {reference.name} on {len(frames)} images")
        steps = _measure(reference, forms, frames, options, progress, say)
        _pass(steps, options.thresholds, say)
        for form in forms:
            onnx.save_model(form.model, str(folder / f"{output.stem}{form.suffix}"))
        engine_note, engine_steps = _build_engine(reference, folder, output, frames, options)
        _pass(engine_steps, options.thresholds, say)
        data = f"{frames.root.name} ({frames.split})" if isinstance(frames, PairSet) else "images without ground truth"
        protocol = _protocol(frames, spec)
        report = ParityReport(spec.name, data, options.thresholds, (*steps, *engine_steps), protocol)
        write_json(folder / f"{output.stem}.parity.json", report.to_dict())
        if options.golden:
            write_golden(
                options.golden, next(read_frames(frames)), forms[0].open(options.threads), _golden_limits(report)
            )
        names = sorted(path.name for path in folder.iterdir())
    remove_stale_forms(output, names, say)
    known = {f"{output.stem}{suffix}" for suffix in (".onnx", ".fp16.onnx", ".parity.json")}
    return ExportResult(
        output,
        output.with_suffix(".fp16.onnx") if options.fp16 else None,
        output.with_suffix(".parity.json"),
        report,
        engine_note,
        tuple(output.parent / name for name in names if name not in known),
    )


def _check(output: Path, frames: FrameSource, options: ExportOptions) -> None:
    """Refuse what can't succeed before anything is computed."""
    if output.suffix != ".onnx":
        raise LightDepthError(f"The output of an export is an .onnx file, got {output}; name it {output.stem}.onnx.")
    check_frames(frames)
    if options.golden:
        check_golden_folder(options.golden)
    if options.dynamic_batch and (options.frame_size or options.int8):
        raise LightDepthError(
            "Embedded preprocessing and INT8 calibration are for one frame at a time; leave out the dynamic batch."
        )
    if options.engine and (reason := can_build_here(output.with_suffix(_engine_suffix(options)).name)):
        raise LightDepthError(reason)


def _make_forms(
    network: nn.Module,
    reference: Backend,
    frames: FrameSource,
    options: ExportOptions,
    say: Callable[[str], None],
) -> list[Form]:
    """Make every form, FP32 first."""
    fp32 = trace_onnx(network, reference.spec, dynamic_batch=options.dynamic_batch)
    forms = [fp32_form(fp32)]
    if options.fp16:
        forms.append(fp16_form(fp32))
    if options.int8:
        images = read_frames(options.calibration or frames, CALIBRATION_IMAGES)
        batches = [preprocess(frame.image, reference.spec)[None] for frame in images]
        allowed = INT8_MARGIN * options.thresholds.int8_rmse_change

        def judge(form: Form) -> None:
            candidate = {form.step: form.open(options.threads)}
            protocol = _protocol(frames, reference.spec)
            [step] = check_parity(reference, candidate, read_frames(frames), protocol=protocol)
            gate(step, options.thresholds)

        forms += int8_forms(fp32, batches, allowed_abs_rel=allowed, judge=judge, say=say)
    if options.frame_size:
        forms += [form.with_preprocessing(*options.frame_size) for form in forms]
    return forms


def _measure(
    reference: Backend,
    forms: list[Form],
    frames: FrameSource,
    options: ExportOptions,
    progress: Progress,
    say: Callable[[str], None],
) -> list[StepParity]:
    """Run every form against the reference, and find FP16's range of activations."""
    plain = {form.step: form.open(options.threads) for form in forms if not form.step.endswith("-frame")}
    embedded = {form.step: form.open(options.threads) for form in forms if form.step.endswith("-frame")}
    protocol = _protocol(frames, reference.spec)
    with Workers(options.workers) as pool:
        told = {"protocol": protocol, "progress": progress, "pool": pool}
        steps = check_parity(reference, plain, read_frames(frames, pool=pool), **told)
        if embedded:
            steps += check_frame_parity(reference, embedded, read_frames(frames, pool=pool), **told, say=say)
    for backend in (*plain.values(), *embedded.values()):
        backend.close()
    models = {form.step: form.model for form in forms}
    if FP16_STEP in models:
        some = (preprocess(frame.image, reference.spec)[None] for frame in read_frames(frames, OVERFLOW_IMAGES))
        overflow = measure_overflow(forms[0].model, models[FP16_STEP], some)
        steps = [replace(step, overflow=overflow) if step.step == FP16_STEP else step for step in steps]
    return steps


def _pass(steps: list[StepParity], thresholds: ParityThresholds, say: Callable[[str], None]) -> None:
    """Gate every step and say its figures."""
    for step in steps:
        gate(step, thresholds)
        say(step.describe())


def _engine_suffix(options: ExportOptions) -> str:
    """Return which form becomes the engine: FP16 where there is one, since it is fast and was not calibrated."""
    return ".fp16.onnx" if options.fp16 else ".int8.onnx" if options.int8 else ".onnx"


def _build_engine(
    reference: Backend, folder: Path, output: Path, frames: FrameSource, options: ExportOptions
) -> tuple[str, list[StepParity]]:
    """Build the engine that is asked for or possible; say what was built, or what to run on the target."""
    path = folder / f"{output.stem}{_engine_suffix(options)}"
    build = BuildOptions(batch=DYNAMIC_BATCH if options.dynamic_batch else None)
    if options.engine_for:
        saved = engine_for(path, options.engine_for, options=build)
        return f"Built {replace(saved, path=output.parent / saved.path.name).describe()}", []
    if reason := can_build_here(path.name):
        return reason, []
    if not (options.engine or options.fp16):
        return f"No engine was asked for; to build one, run: python -m lightdepth_export.engine {path.name}", []
    try:
        saved = engine_here(path, options=build)
    except LightDepthError as error:
        if options.engine:
            raise
        return f"No engine was built, and none was asked for: {error}", []
    backend = open_backend(saved.path)
    try:
        candidate = {f"engine-{backend.spec.precision}": backend}
        protocol = _protocol(frames, reference.spec)
        steps = check_parity(reference, candidate, read_frames(frames), protocol=protocol)
    finally:
        backend.close()
    return f"Built {replace(saved, path=output.parent / saved.path.name).describe()}", steps


def _protocol(frames: FrameSource, spec: ModelSpec) -> Protocol:
    """Return the protocol that the pairs' packaging and the model's range imply."""
    packaging = frames.packaging if isinstance(frames, PairSet) else ""
    return choose_protocol(None, packaging=packaging, range_m=spec.max_depth_m)


def _golden_limits(report: ParityReport) -> dict[str, float]:
    """Return the distance in metres that an integrator may expect of each form, never under FP32's threshold."""
    least = report.thresholds.fp32_max_abs_diff_m
    return {s.step: max(least, GOLDEN_MARGIN * s.max_abs_diff_m) for s in report.steps if not s.embedded}
