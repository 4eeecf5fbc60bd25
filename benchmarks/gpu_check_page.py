"""The Markdown page of `gpu_check.py`, from its JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightdepth_runtime.atomic import write_text

__all__ = ["write_page"]

Values = Mapping[str, Any]  # Any: JSON values


def write_page(path: Path, result: Values) -> None:
    """Write what is known so far; parts that failed or were left out stand there with the reason."""
    lines = ["# GPU check", "", f"LightDepth {result['lightdepth_version']}, `{result['command']}`.", ""]
    if result["smoke"]:
        lines += ["**A smoke test on the CPU: the figures mean nothing.**", ""]
    for name, values in result["parts"].items():
        lines += [f"## {name.capitalize()}", ""]
        if values["status"] != "done":
            lines += [f"{values['status']}", ""]
        lines += [*_WRITERS.get(name, _as_list)(values), ""]
    write_text(path, "\n".join(lines))


def _environment(values: Values) -> Iterable[str]:
    if "packages" not in values:
        return
    yield f"- GPU: {values['gpu']}; PyTorch's CUDA: {values['torch_cuda'] or 'none'}; Python {values['python']}"
    yield "- " + ", ".join(f"{name} {version}" for name, version in values["packages"].items())
    yield from (f"- {flavour}: {text}" for flavour, text in values["engines"].items())


def _latency(values: Values) -> Iterable[str]:
    if "bench" not in values:
        return
    rows = []
    for row in values["bench"]["rows"]:
        gpu = row["gpu"] or {}
        rows.append(
            [row["label"], row["precision"], f"{row['input_height']}x{row['input_width']}"]
            + [_number(row[f"latency_ms_{p}"]) for p in ("p50", "p90", "p99")]
            + [_number(row["call_ms_p50"]), _number(gpu.get("power_w")), row["device_reason"] or ""]
        )
    head = ["network", "precision", "input", "p50, ms", "p90", "p99", "whole call, ms", "power, W", "device"]
    yield from _table(head, rows)
    yield ""
    yield from _table(
        ["ratio within a precision", "latency", "in single rounds"],
        [
            [name, _number(ratio["latency_p50"]), f"{_number(ratio['latency_low'])} - {_number(ratio['latency_high'])}"]
            for name, ratio in values["bench"]["ratios"].items()
        ],
    )
    yield from (f"- {name}: {reason}" for name, reason in values["missing"].items())
    yield from (f"- Note: {text}" for text in values["bench"]["warnings"])


def _call(values: Values) -> Iterable[str]:
    keys = ("call_ms_p50", "call_ms_p99", "network_ms_p50", "times_the_network")
    rows = [[name, *(_number(row[key]) for key in keys), row["device_reason"]] for name, row in _rows(values, "rows")]
    yield from _table(["file", "call p50, ms", "p99", "network alone", "times the plain network", "device"], rows)


def _options(values: Values) -> Iterable[str]:
    rows = []
    for name, row in _rows(values, "rows"):
        rows.append([name, _number(row.get("latency_ms_p50")), row.get("refused") or row.get("without_graph") or ""])
    yield from _table(["file, ONNX Runtime's option", "network p50, ms", "note"], rows)
    yield from (f"- left out: {values[key]}" for key in ("left_out",) if key in values)


def _engine(values: Values) -> Iterable[str]:
    for name, built in _rows(values, "engines"):
        yield f"- {name}: " + ", ".join(f"{key} {value}" for key, value in built.items())


def _precision(values: Values) -> Iterable[str]:
    rows = []
    for name, step in _rows(values, "steps"):
        change = step["rmse_change"]
        changed = "n/a" if change is None else f"{100 * change:.4f} %"
        rows.append([name, f"{step['max_abs_diff_m']:.2g}", f"{step['abs_rel']:.2g}", changed])
    yield from _table(["against FP32 on the CPU", "max, m", "AbsRel", "RMSE changed by"], rows)


def _training(values: Values) -> Iterable[str]:
    keys = ("batch_size", "workers", "images_per_s", "first_epoch_images_per_s", "first_batch_s")
    rows, others = [], []
    for name, run in _rows(values, "runs"):
        if "images_per_s" in run:
            rows.append([name, *(_number(run[key]) for key in keys)])
        else:
            others.append(f"- {name}: {', '.join(f'{key}: {value}' for key, value in run.items())}")
    yield from _table(["network, data", "batch", "workers", "images/s", "in the first epoch", "first batch, s"], rows)
    yield from others


def _as_list(values: Values) -> Iterable[str]:
    return (f"- {key}: {value}" for key, value in values.items() if key not in ("status", "seconds"))


_WRITERS = {
    "environment": _environment,
    "latency": _latency,
    "call": _call,
    "options": _options,
    "engine": _engine,
    "precision": _precision,
    "training": _training,
}


def _rows(values: Values, key: str) -> Iterable[tuple[str, Any]]:  # Any: JSON values
    return values.get(key, {}).items()


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterable[str]:
    if rows:
        yield f"| {' | '.join(head)} |"
        yield "|" + "---|" * len(head)
        yield from (f"| {' | '.join(row)} |" for row in rows)


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.4g}"
