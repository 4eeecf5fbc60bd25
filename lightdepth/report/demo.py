"""The demo's report in Markdown: what was done, on what, with which result."""

from dataclasses import dataclass
from pathlib import Path

from lightdepth_export.artifacts import ExportResult
from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.bench.result import BenchResult
from lightdepth_runtime.bench.table import bench_table
from lightdepth_runtime.evaluation.evaluate import EvalResult
from lightdepth_runtime.table import Column, Table, number

from ..runs.folder import RunFolder
from .table import markdown_table

__all__ = ["DemoResult", "demo_scores", "write_report"]


@dataclass(frozen=True)
class DemoResult:
    """What the report is written from."""

    folder: RunFolder
    scores: tuple[EvalResult, ...]
    export: ExportResult
    bench: BenchResult
    shipped_training_data: str  # what the spec of the shipped model says


def write_report(result: DemoResult, path: Path) -> Path:
    """Write the report and return its path."""
    write_text(
        path,
        "\n\n".join(
            [_head(result.shipped_training_data), _accuracy(result), _parity(result), _bench(result), _next(result)]
        )
        + "\n",
    )
    return path


def _head(shipped_training_data: str) -> str:
    return (
        "# LightDepth demo\n"
        f"Machine: {describe_machine().describe()}\n\n"
        "![Input, ground truth, prediction and error, in metres](panels.png)\n\n"
        "A ResNet18 U-Net was trained from random weights for about a minute on 28 RGB-D pairs of two rooms and scored "
        "on 8 later frames of the same rooms (TUM RGB-D, Sturm et al., IROS 2012, CC BY 4.0). This shows that every "
        "step works; it says nothing about accuracy in other rooms. The shipped model `lite0` was trained on "
        f"{shipped_training_data}. Where that names these recordings, it has seen other frames of them."
    )


def demo_scores(result: DemoResult) -> Table:
    """Return the scores of every model on the demo's test pairs."""
    heads = ("RMSE, m", "MAE, m", "AbsRel", "SILog", "delta1")
    rows = []
    for score in result.scores:
        m = score.metrics
        figures = (m.rmse_m, m.mae_m, m.abs_rel, m.silog, m.delta1)
        rows.append([score.model, *map(number, figures, (".3f", ".3f", ".3f", ".1f", ".3f"))])
    title = f"Scores on {result.scores[0].samples} pairs of the demo's rooms"
    return Table(title, [Column("depth from", is_words=True), *map(Column, heads)], rows)


def _accuracy(result: DemoResult) -> str:
    described = f"Protocol {result.scores[0].protocol.describe()}; {result.scores[0].samples} pairs."
    return f"## Accuracy\n{described}\n\n{markdown_table(demo_scores(result))}"


def _parity(result: DemoResult) -> str:
    heads = ("largest difference, mm", "mean difference, mm", "change of RMSE")
    rows = [
        [
            step.step,
            number(step.max_abs_diff_m, ".3f", scale=1e3),
            number(step.mean_abs_diff_m, ".3f", scale=1e3),
            number(step.rmse_change, "+.3%"),
        ]
        for step in result.export.report.steps
    ]
    table = Table("Export", [Column("step", is_words=True), *map(Column, heads)], rows)
    return (
        "## Export\n"
        "Each file was compared with PyTorch on the same test pairs; past its threshold the export would have failed. "
        "No CPU computes in FP16, so that row is simulated binary16 rounding.\n\n"
        f"{markdown_table(table)}\n\n{result.export.engine_note}"
    )


def _bench(result: DemoResult) -> str:
    notes = "".join(f"\n\nNote: {warning}" for warning in result.bench.warnings)
    return (
        "## Latency\n"
        "One run, interleaved, same backend and threads, the network alone, each at its native input.\n\n"
        f"{markdown_table(bench_table(result.bench))}{notes}"
    )


def _next(result: DemoResult) -> str:
    return (
        "## Files\n"
        f"- `run/`: `best.safetensors`, `last.safetensors`, `metrics.jsonl`, `config.yaml` and the training state\n"
        f"- `{result.export.fp32.name}`, `{result.export.fp16.name if result.export.fp16 else ''}` and "
        f"`{result.export.parity.name}`: the models and the proof of parity\n"
        "- `depth/`: colour PNG, 16-bit millimetre PNG and float `.npy` of the test images\n"
        "- `eval/`, `bench.json`: the tables above as JSON"
    )
