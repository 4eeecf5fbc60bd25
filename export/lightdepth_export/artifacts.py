"""Export a network: write its files and their parity report side by side, all of them or none."""

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any

import onnx
from torch import nn

from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import Backend, open_backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.protocol import choose_protocol
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.parallel import Workers
from lightdepth_runtime.spec import ModelSpec

from .engine import BatchRange, BuildOptions, can_build_here, engine_for, engine_here
from .files import all_or_nothing, remove_stale_forms
from .onnx.forms import FP16_STEP, Form, fp16_form, fp32_form, int8_forms
from .onnx.fp16_simulation import measure_overflow
from .onnx.trace import trace_onnx
from .parity.compare import Progress, check_parity
from .parity.frames import FrameSource, check_frames, read_frames
from .parity.gate import ParityReport, ParityThresholds, StepParity, gate
from .parity.golden import check_golden_folder, write_golden

__all__ = ["ExportOptions", "ExportResult", "export_model"]

Compare = Callable[..., list[StepParity]]  # holds candidates against the reference on every frame
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
    packaging = frames.packaging if isinstance(frames, PairSet) else ""
    protocol = choose_protocol(None, packaging=packaging, range_m=spec.max_depth_m)

    def compare(candidates: Mapping[str, Backend], **told: Any) -> list[StepParity]:  # Any: as `check_parity` takes it
        seen = read_frames(frames, pool=told.get("pool"))
        return check_parity(reference, candidates, seen, protocol=protocol, **told)

    with all_or_nothing(output) as folder:
        say(f"Tracing {spec.name} at {spec.input_width}x{spec.input_height}")
        forms = _make_forms(network, spec, frames, options, compare, say)
        say(f"Comparing {', '.join(form.step for form in forms)} with {reference.name} on {len(frames)} images")
        steps = _measure(forms, spec, frames, options, partial(compare, progress=progress, say=say))
        _pass(steps, options.thresholds, say)
        for form in forms:
            onnx.save_model(form.model, str(folder / f"{output.stem}{form.suffix}"))
        engine_note, engine_steps = _build_engine(folder, output, options, compare)
        _pass(engine_steps, options.thresholds, say)
        data = f"{frames.root.name} ({frames.split})" if isinstance(frames, PairSet) else "images without ground truth"
        report = ParityReport(spec.name, data, options.thresholds, (*steps, *engine_steps), protocol)
        write_json(folder / f"{output.stem}.parity.json", report.to_dict())
        if options.golden:
            # What an integrator may expect of each form, never under FP32's threshold.
            least_m = options.thresholds.fp32_max_abs_diff_m
            limits_m = {s.step: max(least_m, GOLDEN_MARGIN * s.max_abs_diff_m) for s in report.steps if not s.embedded}
            write_golden(options.golden, next(read_frames(frames)), forms[0].open(options.threads), limits_m)
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
    spec: ModelSpec,
    frames: FrameSource,
    options: ExportOptions,
    compare: Compare,
    say: Callable[[str], None],
) -> list[Form]:
    """Make every form, FP32 first, and those that take frames last."""
    fp32 = trace_onnx(network, spec, dynamic_batch=options.dynamic_batch)
    forms = [fp32_form(fp32)]
    if options.fp16:
        forms.append(fp16_form(fp32))
    if options.int8:
        images = read_frames(options.calibration or frames, CALIBRATION_IMAGES)
        batches = [preprocess(frame.image, spec)[None] for frame in images]
        allowed = INT8_MARGIN * options.thresholds.int8_rmse_change

        def judge(form: Form) -> None:
            written = [form, form.with_preprocessing(*options.frame_size)] if options.frame_size else [form]
            for each in written:
                [step] = compare({each.step: each.open(options.threads)})
                gate(step, options.thresholds)

        forms += int8_forms(fp32, batches, allowed_abs_rel=allowed, judge=judge, say=say)
    if options.frame_size:
        forms += [form.with_preprocessing(*options.frame_size) for form in forms]
    return forms


def _measure(
    forms: list[Form], spec: ModelSpec, frames: FrameSource, options: ExportOptions, compare: Compare
) -> list[StepParity]:
    """Run every form against the reference, and find FP16's range of activations."""
    steps: list[StepParity] = []
    with Workers(options.workers) as pool:
        for _, kind in groupby(forms, key=lambda form: form.step.endswith("-frame")):
            candidates = {form.step: form.open(options.threads) for form in kind}
            steps += compare(candidates, pool=pool)
            for backend in candidates.values():
                backend.close()
    models = {form.step: form.model for form in forms}
    if FP16_STEP in models:
        some = (preprocess(frame.image, spec)[None] for frame in read_frames(frames, OVERFLOW_IMAGES))
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


def _build_engine(folder: Path, output: Path, options: ExportOptions, compare: Compare) -> tuple[str, list[StepParity]]:
    """Build the engine that is asked for or possible; say what was built, or what to run on the target."""
    path = folder / f"{output.stem}{_engine_suffix(options)}"
    build = BuildOptions(batch=DYNAMIC_BATCH if options.dynamic_batch else None)
    steps: list[StepParity] = []
    if options.engine_for:
        saved = engine_for(path, options.engine_for, options=build)
    elif reason := can_build_here(path.name):
        return reason, []
    elif not (options.engine or options.fp16):
        return f"No engine was asked for; to build one, run: python -m lightdepth_export.engine {path.name}", []
    else:
        try:
            saved = engine_here(path, options=build)
        except LightDepthError as error:
            if options.engine:
                raise
            return f"No engine was built, and none was asked for: {error}", []
        with closing(open_backend(saved.path)) as backend:
            steps = compare({f"engine-{backend.spec.precision}": backend})
    return f"Built {replace(saved, path=output.parent / saved.path.name).describe()}", steps
