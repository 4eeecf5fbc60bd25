"""Export a network: write its ONNX files and their parity report side by side, all of them or none."""

import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import onnx
from torch import nn

from lightdepth_runtime.atomic import make_folder, write_json
from lightdepth_runtime.backends import Backend, open_backend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images import preprocess
from lightdepth_runtime.pairs import PairSet

from .fp16 import to_fp16
from .fp16_simulation import measure_overflow, simulate_fp16
from .frames import Frame, FrameSource, check_frames, read_frames
from .metadata import load_onnx
from .onnx_export import export_onnx
from .parity import ParityReport, ParityThresholds, StepParity, check_parity, gate

__all__ = ["ExportOptions", "ExportResult", "export_model"]

OVERFLOW_IMAGES = 16  # the range of activations settles within a few images, and each costs a full inference


@dataclass(frozen=True)
class ExportOptions:
    """What to write beside the FP32 ONNX, and how much it may change."""

    fp16: bool = False
    dynamic_batch: bool = False
    thresholds: ParityThresholds = field(default_factory=ParityThresholds)
    threads: int | None = None


@dataclass(frozen=True)
class ExportResult:
    """Where the files are, and what was measured.

    `engine_note` says in one sentence what to run on the target, since ONNX files alone are no TensorRT engine.
    """

    fp32: Path
    fp16: Path | None
    parity: Path
    report: ParityReport
    engine_note: str

    def paths(self) -> list[Path]:
        """Return every file that was written."""
        return [path for path in (self.fp32, self.fp16, self.parity) if path is not None]


def export_model(
    network: nn.Module,
    reference: Backend,
    output: Path,
    frames: FrameSource,
    *,
    options: ExportOptions | None = None,
    say: Callable[[str], None] = lambda _: None,
    progress: Callable[[Iterable[Frame]], Iterable[Frame]] = iter,
) -> ExportResult:
    """Write `m.onnx`, `m.fp16.onnx` and `m.parity.json` after the files passed on real images.

    The files stand in a temporary folder until all passed; on any failure nothing is left of them, and files of an
    earlier export stay as they were.

    Args:
        network: maps (B, 3, H, W) to metres (B, 1, H, W).
        reference: the same network behind a backend; its spec goes into the files and gives the input size.
        output: the FP32 file; the others are named after it.
        frames: RGB-D pairs, or image files; at least one.
        options: FP16, dynamic batch, thresholds.
        say: gets one line about each step.
        progress: wraps the frames to show progress.

    Raises:
        LightDepthError: not an .onnx path, no frames, the folder can't be written, or a figure past its threshold.
    """
    options = options or ExportOptions()
    if output.suffix != ".onnx":
        raise LightDepthError(f"The output of an export is an .onnx file, got {output}; name it {output.stem}.onnx.")
    check_frames(frames)
    names = {kind: output.with_suffix(suffix) for kind, suffix in _SUFFIXES.items()}
    with _all_or_nothing(output) as folder:
        fp32_path, fp16_path = folder / names["fp32"].name, folder / names["fp16"].name
        say(f"Tracing {reference.spec.name} at {reference.spec.input_width}x{reference.spec.input_height}")
        export_onnx(network, reference.spec, fp32_path, dynamic_batch=options.dynamic_batch)
        candidates = {"onnx-fp32": fp32_path}
        if options.fp16:
            onnx.save_model(to_fp16(load_onnx(fp32_path)), str(fp16_path))
            simulated = folder / "simulated.onnx"
            onnx.save_model(simulate_fp16(load_onnx(fp16_path)), str(simulated))
            candidates["fp16-simulated"] = simulated
        say(f"Comparing {', '.join(candidates)} with {reference.name} on {len(frames)} images")
        report = _measure(reference, candidates, frames, options, fp16_path, progress)
        for step in report.steps:
            gate(step, report.thresholds)
            say(_describe(step))
        (folder / "simulated.onnx").unlink(missing_ok=True)
        write_json(folder / names["parity"].name, report.to_dict())
    return ExportResult(
        names["fp32"],
        names["fp16"] if options.fp16 else None,
        names["parity"],
        report,
        _engine_note(names["fp16"] if options.fp16 else names["fp32"]),
    )


_SUFFIXES = {"fp32": ".onnx", "fp16": ".fp16.onnx", "parity": ".parity.json"}


@contextmanager
def _all_or_nothing(output: Path) -> Iterator[Path]:
    """Yield a folder beside the output; move its files to their places on success, delete it on any error."""
    parent = make_folder(output.parent)
    folder = Path(tempfile.mkdtemp(prefix=f".{output.stem}.", dir=parent))
    try:
        yield folder
        for path in sorted(folder.iterdir()):
            path.replace(parent / path.name)
    except OSError as error:
        raise LightDepthError(
            f"Can't write {output}: {error.strerror or error}. Choose another output path or free some space."
        ) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _measure(
    reference: Backend,
    candidates: dict[str, Path],
    frames: FrameSource,
    options: ExportOptions,
    fp16_path: Path,
    progress: Callable[[Iterable[Frame]], Iterable[Frame]],
) -> ParityReport:
    """Run every candidate against the reference, and FP16's range of activations."""
    backends = {step: open_backend(path, "cpu", options.threads) for step, path in candidates.items()}
    steps = check_parity(reference, backends, read_frames(frames), progress=progress)
    for backend in backends.values():
        backend.close()
    if options.fp16:
        some = (preprocess(frame.image, reference.spec)[None] for frame in read_frames(frames, OVERFLOW_IMAGES))
        overflow = measure_overflow(load_onnx(candidates["onnx-fp32"]), load_onnx(fp16_path), some)
        steps = [step.with_overflow(overflow) if step.precision == "fp16" else step for step in steps]
    data = f"{frames.root.name} ({frames.split})" if isinstance(frames, PairSet) else "images without ground truth"
    return ParityReport(reference.spec.name, data, options.thresholds, tuple(steps))


def _describe(step: StepParity) -> str:
    """Say a step's figures in one line."""
    text = f"{step.step}: max {step.max_abs_diff_m:.2g} m, mean {step.mean_abs_diff_m:.2g} m, AbsRel {step.abs_rel:.2g}"
    if step.rmse_change is not None:
        text += f", RMSE changed by {100 * step.rmse_change:.2g} %"
    if step.overflow is not None:
        text += f", largest activation {step.overflow.largest_activation:.4g} of {step.overflow.limit:.0f}"
    return text


def _engine_note(path: Path) -> str:
    return (
        f"No TensorRT engine was built: an engine belongs to the GPU it is built on; on the target, run: "
        f"python -m lightdepth_export.engine {path.name}"
    )
