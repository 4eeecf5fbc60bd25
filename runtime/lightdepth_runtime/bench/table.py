"""A bench as a table for people."""

from collections.abc import Sequence

from rich.table import Table

from .bench import BenchResult, BenchRow, Ratio
from .gpu_readings import GpuReadings

__all__ = ["GPU_LABELS", "bench_table", "bench_tables", "gpu_cells", "ratio_lines"]

MOST_COLUMNS = 3

LABELS = (
    "backend",
    "precision",
    "input, height x width",
    "latency p50, ms",
    "latency p90, ms",
    "latency p99, ms",
    "images/s",
    "whole call p50, ms",
    "cold start, ms",
    "of matrix product peak",
    "parameters",
    "GMAC",
    "file, MB",
    "peak memory, MB",
    "weights",
)

GPU_LABELS = ("power, W", "energy a frame, mJ", "GPU clock, MHz", "GPU temperature, C", "clock limited by")


def bench_tables(result: BenchResult) -> list[Table]:
    """Lay the models out as columns, three a table, so that each fits a terminal of 80."""
    starts = range(0, len(result.rows), MOST_COLUMNS)
    return [bench_table(result, result.rows[start : start + MOST_COLUMNS]) for start in starts]


def bench_table(result: BenchResult, rows: Sequence[BenchRow] | None = None) -> Table:
    """Lay some of the models out as columns of one table; all by default."""
    rows = result.rows if rows is None else rows
    table = Table(title="The network alone, batch 1", title_justify="left")
    table.add_column("", no_wrap=True)
    for row in rows:
        table.add_column(row.model, justify="right", overflow="fold")
    columns = [_cells(row) for row in rows]
    for label, *values in zip(LABELS, *columns, strict=True):
        table.add_row(label, *values)
    if any(row.gpu for row in result.rows):
        for label, *values in zip(GPU_LABELS, *(gpu_cells(row.gpu) for row in rows), strict=True):
            table.add_row(label, *values)
    return table


def gpu_cells(gpu: GpuReadings | None) -> tuple[str, ...]:
    """Return the texts under `GPU_LABELS`."""
    if gpu is None:
        return ("not on a GPU",) + ("",) * (len(GPU_LABELS) - 1)
    return (
        _number(gpu.power_w, ".0f"),
        _number(gpu.energy_per_frame_mj, ".1f"),
        _number(gpu.sm_clock_mhz, ".0f"),
        _number(gpu.temperature_c, ".0f"),
        ", ".join(gpu.throttled_by) or "nothing",
    )


def _number(value: float | None, form: str) -> str:
    return "not told" if value is None else format(value, form)


def ratio_lines(result: BenchResult) -> list[str]:
    """Say each ratio in one sentence."""
    return [_ratio_line(name, ratio) for name, ratio in result.ratios.items()]


def _cells(row: BenchRow) -> tuple[str, ...]:
    return (
        row.backend,
        row.precision,
        f"{row.input_height}x{row.input_width}",
        f"{row.latency_ms_p50:.1f}",
        f"{row.latency_ms_p90:.1f}",
        f"{row.latency_ms_p99:.1f}",
        f"{row.images_per_s:.3g}",
        f"{row.call_ms_p50:.1f}",
        "not measured" if row.cold_start_ms is None else f"{row.cold_start_ms:.0f}",
        "not measured" if row.matmul_share is None else f"{row.matmul_share:.0%}",
        f"{row.parameters:,}",
        "not counted" if row.gmacs is None else f"{row.gmacs:.2f}",
        f"{row.size_bytes / 1e6:.1f}",
        "not measured" if row.peak_memory_bytes is None else f"{row.peak_memory_bytes / 1e6:.0f}",
        row.weights,
    )


def _ratio_line(name: str, ratio: Ratio) -> str:
    parts = [f"latency {ratio.latency_p50:.2f} (rounds {ratio.latency_low:.2f}-{ratio.latency_high:.2f})"]
    for label, value in (
        ("parameters", ratio.parameters),
        ("GMAC", ratio.gmacs),
        ("file size", ratio.size),
        ("peak memory", ratio.peak_memory),
    ):
        if value is not None:
            parts.append(f"{label} {value:.2f}")
    return f"{name}: {', '.join(parts)}"
