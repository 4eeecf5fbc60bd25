"""The demo's report in Markdown: what was done, on what, with which result."""

from dataclasses import dataclass
from pathlib import Path

from lightdepth_export.artifacts import ExportResult
from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.bench.bench import BenchResult
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.evaluation.evaluate import EvalResult

from ..runs.folder import RunFolder

__all__ = ["DemoResult", "write_report"]


@dataclass(frozen=True)
class DemoResult:
    """What the report is written from."""

    folder: RunFolder
    scores: tuple[EvalResult, ...]
    export: ExportResult
    bench: BenchResult


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the report and return its path."""
    write_text(path, "\n\n".join([_head(), _accuracy(result), _parity(result), _bench(result), _next(result)]) + "\n")
    return path


def _head() -> str:
    return (
        "# LightDepth demo\n"
        f"Machine: {describe_machine().describe()}\n\n"
        "![Input, ground truth, prediction and error, in metres](panels.png)\n\n"
        "A ResNet18 U-Net was trained from random weights for about a minute on 28 RGB-D pairs of two rooms and scored "
        "on 8 later frames of the same rooms (TUM RGB-D, Sturm et al., IROS 2012, CC BY 4.0). This shows that every "
        "step works; it says nothing about accuracy in other rooms."
    )


def _accuracy(result: DemoResult) -> str:
    lines = [
        "## Accuracy",
        f"Protocol {result.scores[0].protocol.describe()}; {result.scores[0].samples} pairs.\n",
        "| depth from | RMSE (m) | MAE (m) | AbsRel | SILog | delta1 |",
        "|---|---|---|---|---|---|",
    ]
    for score in result.scores:
        m = score.metrics
        lines.append(
            f"| {score.model} | {m.rmse_m:.3f} | {m.mae_m:.3f} | {m.abs_rel:.3f} | {m.silog:.1f} | {m.delta1:.3f} |"
        )
    return "\n".join(lines)


def _parity(result: DemoResult) -> str:
    lines = [
        "## Export",
        "Each file was compared with PyTorch on the same test pairs; past its threshold the export would have failed. "
        "No CPU computes in FP16, so that row is simulated binary16 rounding.\n",
        "| step | largest difference (mm) | mean difference (mm) | change of RMSE |",
        "|---|---|---|---|",
    ]
    for step in result.export.report.steps:
        change = step.rmse_change
        shown = "not measured" if change is None else f"{100 * change:+.3f} %"
        lines.append(f"| {step.step} | {1e3 * step.max_abs_diff_m:.3f} | {1e3 * step.mean_abs_diff_m:.3f} | {shown} |")
    return "\n".join([*lines, "", result.export.engine_note])


def _bench(result: DemoResult) -> str:
    lines = [
        "## Latency",
        "One run, interleaved, same backend and threads, the network alone, each at its native input.\n",
        "| model | weights | input | parameters | GMAC | p50 (ms) | p99 (ms) |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in result.bench.rows:
        gmacs = "" if row.gmacs is None else f"{row.gmacs:.2f}"
        lines.append(
            f"| {row.model} | {row.weights} | {row.input_width}x{row.input_height} | {row.parameters:,} | {gmacs} | "
            f"{row.latency_ms_p50:.1f} | {row.latency_ms_p99:.1f} |"
        )
    for warning in result.bench.warnings:
        lines += ["", f"Note: {warning}"]
    return "\n".join(lines)


def _next(result: DemoResult) -> str:
    return (
        "## Files\n"
        f"- `run/`: `best.safetensors`, `last.safetensors`, `metrics.jsonl`, `config.yaml` and the training state\n"
        f"- `{result.export.fp32.name}`, `{result.export.fp16.name if result.export.fp16 else ''}` and "
        f"`{result.export.parity.name}`: the models and the proof of parity\n"
        "- `depth/`: colour PNG, 16-bit millimetre PNG and float `.npy` of the test images\n"
        "- `eval/`, `bench.json`: the tables above as JSON"
    )
