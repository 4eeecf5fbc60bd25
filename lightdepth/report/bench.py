"""A bench as one HTML page: what ran where, how fast, and what that speed buys in accuracy."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.bench.result import BenchResult, BenchRow, unique_labels
from lightdepth_runtime.bench.table import bench_table, ratio_lines
from lightdepth_runtime.table import Column, Table, number

from .page import box, command_box, heading, page, paragraph, plots
from .scatter import Point, scatter_svg
from .table import html_table

__all__ = ["bench_html", "machine_box", "write_bench_report"]


def write_bench_report(folder: Path, result: BenchResult, command: Sequence[str]) -> Path:
    """Write `bench.html` into a folder and return its path.

    Raises:
        LightDepthError: the folder can't be written.
    """
    path = make_folder(folder) / "bench.html"
    write_text(path, bench_html(result, command))
    return path


def bench_html(result: BenchResult, command: Sequence[str]) -> str:
    """Build the page; `command` is what was typed, for the reader to repeat it."""
    labels = unique_labels(result.rows)
    timed = str(result.settings["timed"])
    parts = [
        paragraph(f"{timed[:1].upper()}{timed[1:]}. Frame: {result.settings['frame']}."),
        *(paragraph(text, "warn") for text in result.warnings),
        heading("Speed and size"),
        html_table(bench_table(result)),
    ]
    if result.ratios:
        parts += [heading("Ratios", 3), *(paragraph(line, "quiet") for line in ratio_lines(result))]
    parts += _accuracy(labels, result.rows)
    parts += [heading("How it was measured"), box(_settings(result)), heading("Machine"), machine_box(result.machine)]
    parts += [heading("Command"), command_box(command)]
    return page("LightDepth bench", parts)


def machine_box(machine: Mapping[str, Any]) -> str:  # Any: a JSON object
    """Return the fingerprint of `describe_machine().to_dict()` as a box."""
    memory = machine["memory_bytes"]
    return box(
        {
            "Processor": f"{machine['cpu']}, {machine['usable_cores']} of {machine['physical_cores']} cores usable",
            "Memory": f"{memory / 2**30:.0f} GiB" if memory else "unknown",
            "GPU": "; ".join(machine["gpus"]) or "none",
            "System": f"{machine['os']}, {machine['architecture']}, Python {machine['python']}",
            "Packages": ", ".join(f"{name} {version}" for name, version in machine["packages"].items()),
        }
    )


def _accuracy(labels: Sequence[str], rows: Sequence[BenchRow]) -> list[str]:
    """Show the scores that files carry: one pair of plots a protocol and data set, since no other figures compare."""
    known = [(label, row, row.scores) for label, row in zip(labels, rows, strict=True) if row.scores]
    if not known:
        return [
            heading("Accuracy"),
            paragraph("None of these files carries scores; `lightdepth export --scores` writes them in.", "quiet"),
        ]
    cells = [
        [
            label,
            number(scores.get("rmse_m"), ".3f"),
            number(scores.get("abs_rel"), ".4f"),
            number(scores.get("delta1"), ".3f"),
            *_terms(scores),
        ]
        for label, _, scores in known
    ]
    figures, words = ("RMSE, m", "AbsRel", "delta1"), ("scored on", "protocol")
    columns = [Column("model"), *map(Column, figures), *(Column(name, is_words=True) for name in words)]
    parts = [
        heading("Accuracy, as the files state it"),
        paragraph("Scores that the models were released with; nothing was scored in this run."),
        html_table(Table("Accuracy that the model files state", columns, cells)),
    ]
    drawable = [(label, row, scores) for label, row, scores in known if scores.get("abs_rel")]
    for data, protocol in dict.fromkeys(_terms(scores) for _, _, scores in drawable):
        drawn = [(label, row, s["abs_rel"]) for label, row, s in drawable if _terms(s) == (data, protocol)]
        caption = f"Lower left is better. {data}, protocol {protocol}."
        latency = [Point(label, row.latency_ms_p50, y) for label, row, y in drawn]
        size = [Point(label, row.parameters / 1e6, y) for label, row, y in drawn if row.parameters]
        both = [(latency, "latency p50, ms"), (size, "parameters, millions")]
        parts.append(plots([(scatter_svg(points, name, "AbsRel"), caption) for points, name in both if points]))
    return parts


def _terms(scores: Mapping[str, Any]) -> tuple[str, str]:  # Any: a JSON object
    """Return what a model was scored on, and under which protocol."""
    return scores.get("data", "not stated"), scores.get("protocol", "not stated")


def _settings(result: BenchResult) -> dict[str, str]:
    """Return the settings with readable names, lists joined, floats rounded, what is unknown left out."""

    def text(value: Any) -> str:  # Any: what a JSON object holds
        if isinstance(value, list):
            return ", ".join(map(text, value))
        return f"{value:.4g}" if isinstance(value, float) else str(value)

    return {
        name.replace("_", " ").capitalize(): text(value)
        for name, value in result.settings.items()
        if value is not None and value != []
    }
