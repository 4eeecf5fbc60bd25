"""A bench as a table, one model a line."""

from ..table import Cell, Column, Table, number
from .gpu_readings import GpuReadings
from .result import BenchResult, BenchRow, Ratio

__all__ = ["bench_table", "milliseconds", "ratio_lines"]

COLUMNS = (
    Column("model", is_words=True),
    Column("backend", is_words=True),
    Column("precision", is_words=True),
    Column("input, h x w", is_extra=True),
    Column("p50, ms"),
    Column("p90, ms", is_extra=True),
    Column("p99, ms", is_extra=True),
    Column("images/s"),
    Column("whole call, ms", is_extra=True),
    Column("cold start, ms", is_extra=True),
    Column("of matrix peak", is_extra=True),
    Column("parameters", is_extra=True),
    Column("GMAC", is_extra=True),
    Column("file, MB"),
    Column("memory, MB", is_extra=True),
    Column("weights", is_words=True, is_extra=True),
)
GPU_COLUMNS = (
    Column("power, W", is_extra=True),
    Column("energy a frame, mJ", is_extra=True),
    Column("GPU clock, MHz", is_extra=True),
    Column("GPU temperature, C", is_extra=True),
    Column("clock limited by", is_words=True, is_extra=True),
)


def bench_table(result: BenchResult) -> Table:
    """Lay out the rows of a bench; readings of a GPU are there where a model ran on one."""
    has_gpu = any(row.gpu for row in result.rows)
    rows = [[*_cells(row), *(_gpu_cells(row.gpu) if has_gpu else ())] for row in result.rows]
    return Table("The network alone, batch 1", (*COLUMNS, *(GPU_COLUMNS if has_gpu else ())), rows)


def ratio_lines(result: BenchResult) -> list[str]:
    """Say each ratio in one sentence."""
    return [_ratio_line(name, ratio) for name, ratio in result.ratios.items()]


def _cells(row: BenchRow) -> tuple[Cell | str, ...]:
    return (
        row.model,
        row.backend,
        row.precision,
        Cell(f"{row.input_height}x{row.input_width}", row.input_height * row.input_width),
        milliseconds(row.latency_ms_p50),
        milliseconds(row.latency_ms_p90),
        milliseconds(row.latency_ms_p99),
        number(row.images_per_s, ".3g"),
        milliseconds(row.call_ms_p50),
        number(row.cold_start_ms, ".0f"),
        number(row.matmul_share, ".0%"),
        number(row.parameters or None, ","),
        number(row.gmacs, ".2f"),
        number(row.size_bytes, ".1f", scale=1e-6),
        number(row.peak_memory_bytes, ".0f", scale=1e-6),
        row.weights,
    )


def milliseconds(value_ms: float) -> Cell:
    """Make a cell of a time: three digits, or tenths from 100 ms on."""
    return number(value_ms, ".3f" if value_ms < 1 else ".2f" if value_ms < 10 else ".1f")


def _gpu_cells(gpu: GpuReadings | None) -> tuple[Cell | str, ...]:
    if gpu is None:
        return (number(None, ""),) * len(GPU_COLUMNS)
    return (
        number(gpu.power_w, ".0f"),
        number(gpu.energy_per_frame_mj, ".1f"),
        number(gpu.sm_clock_mhz, ".0f"),
        number(gpu.temperature_c, ".0f"),
        ", ".join(gpu.throttled_by) or "nothing",
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
