"""A bench as a table, one model a line."""

from collections.abc import Callable

from ..table import Cell, Column, Table, number
from .gpu_readings import GpuReadings
from .result import BenchResult, BenchRow, Ratio, numbered_names

__all__ = ["bench_table", "milliseconds", "ratio_lines"]


def milliseconds(value_ms: float) -> Cell:
    """Make a cell of a time: three digits, or tenths from 100 ms on."""
    return number(value_ms, ".3f" if value_ms < 1 else ".2f" if value_ms < 10 else ".1f")


COLUMNS: tuple[tuple[Column, Callable[[BenchRow], Cell | str]], ...] = (
    (Column("backend", is_words=True), lambda row: row.backend),
    (Column("precision", is_words=True), lambda row: row.precision),
    (
        Column("input, h x w", is_extra=True),
        lambda row: Cell(f"{row.input_height}x{row.input_width}", row.input_height * row.input_width),
    ),
    (Column("p50, ms"), lambda row: milliseconds(row.latency_ms_p50)),
    (Column("p90, ms", is_extra=True), lambda row: milliseconds(row.latency_ms_p90)),
    (Column("p99, ms", is_extra=True), lambda row: milliseconds(row.latency_ms_p99)),
    (Column("images/s"), lambda row: number(row.images_per_s, ".3g")),
    (Column("whole call, ms", is_extra=True), lambda row: milliseconds(row.call_ms_p50)),
    (Column("cold start, ms", is_extra=True), lambda row: number(row.cold_start_ms, ".0f")),
    (Column("of matrix peak", is_extra=True), lambda row: number(row.matmul_share, ".0%")),
    (Column("parameters", is_extra=True), lambda row: number(row.parameters or None, ",")),
    (Column("GMAC", is_extra=True), lambda row: number(row.gmacs, ".2f")),
    (Column("file, MB"), lambda row: number(row.size_bytes, ".1f", scale=1e-6)),
    (Column("memory, MB", is_extra=True), lambda row: number(row.peak_memory_bytes, ".0f", scale=1e-6)),
    (Column("weights", is_words=True, is_extra=True), lambda row: row.weights),
)
GPU_COLUMNS: tuple[tuple[Column, Callable[[GpuReadings], Cell | str]], ...] = (
    (Column("power, W", is_extra=True), lambda gpu: number(gpu.power_w, ".0f")),
    (Column("energy a frame, mJ", is_extra=True), lambda gpu: number(gpu.energy_per_frame_mj, ".1f")),
    (Column("GPU clock, MHz", is_extra=True), lambda gpu: number(gpu.sm_clock_mhz, ".0f")),
    (Column("GPU temperature, C", is_extra=True), lambda gpu: number(gpu.temperature_c, ".0f")),
    (
        Column("clock limited by", is_words=True, is_extra=True),
        lambda gpu: ", ".join(gpu.throttled_by) or "nothing",
    ),
)


def bench_table(result: BenchResult) -> Table:
    """Lay out the rows of a bench; readings of a GPU are there where a model ran on one."""
    gpu_columns = GPU_COLUMNS if any(row.gpu for row in result.rows) else ()
    rows = [
        [
            name,
            *(cell(row) for _, cell in COLUMNS),
            *(cell(row.gpu) if row.gpu else number(None, "") for _, cell in gpu_columns),
        ]
        for name, row in zip(numbered_names(result.rows), result.rows, strict=True)
    ]
    columns = [Column("model", is_words=True), *(column for column, _ in (*COLUMNS, *gpu_columns))]
    return Table("The network alone, batch 1", columns, rows)


def ratio_lines(result: BenchResult) -> list[str]:
    """Say each ratio in one sentence."""
    return [_ratio_line(name, ratio) for name, ratio in result.ratios.items()]


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
