"""What a bench found: a row a model, ratios, and on what machine."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from .. import __version__
from .gpu_readings import GpuReadings

__all__ = ["BenchResult", "BenchRow", "Ratio", "numbered_names", "unique_labels"]

SCHEMA = "lightdepth.bench/1"


@dataclass(frozen=True)
class BenchRow:
    """One model's figures; latency is of the network alone at batch 1, `call_ms_p50` with pre- and post-processing.

    `cold_start_ms` runs from the start of a process to its first depth. `matmul_share` is the network's speed as a
    part of what the machine reaches in a matrix product, which makes figures of different machines comparable.
    """

    model: str
    parameters: int
    gmacs: float | None
    size_bytes: int
    backend: str
    precision: str
    input_height: int
    input_width: int
    latency_ms_p50: float
    latency_ms_p90: float
    latency_ms_p99: float
    images_per_s: float
    peak_memory_bytes: int | None
    weights: str
    call_ms_p50: float
    cold_start_ms: float | None
    matmul_share: float | None
    scores: dict[str, Any] | None  # Any: a JSON object, the eval result that the file was released with
    gpu: GpuReadings | None  # of the network alone, running by itself after the rounds


@dataclass(frozen=True)
class Ratio:
    """How many times the first row's figure is another's of its precision: above 1 the other is faster or smaller.

    `latency_p50` divides the medians of the table. `latency_low` and `latency_high` are the 10th and 90th percentile
    of the ratios inside single rounds: how much the machine's noise moves it.
    """

    latency_p50: float
    latency_low: float
    latency_high: float
    parameters: float | None
    gmacs: float | None
    size: float
    peak_memory: float | None


@dataclass(frozen=True)
class BenchResult:
    """The table of one run with everything needed to repeat it."""

    machine: dict[str, Any]  # Any: a JSON object
    settings: dict[str, Any]  # Any: a JSON object
    rows: tuple[BenchRow, ...]
    ratios: dict[str, Ratio]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.bench/1`."""
        return {"schema": SCHEMA, "lightdepth_version": __version__, **asdict(self)}


def numbered_names(rows: Sequence[BenchRow]) -> list[str]:
    """Return each row's model, with a number where an earlier row has its name, input size, backend and precision."""
    names: list[str] = []
    seen: Counter[tuple[str, ...]] = Counter()
    for row in rows:
        alike = row.model, *_traits(row)
        seen[alike] += 1
        names.append(row.model if seen[alike] == 1 else f"{row.model} #{seen[alike]}")
    return names


def unique_labels(rows: Sequence[BenchRow]) -> list[str]:
    """Name each row once: the model and its number, then what tells it from the others of that name."""
    labels = []
    for row, name in zip(rows, numbered_names(rows), strict=True):
        traits = [_traits(other) for other in rows if other.model == row.model]
        differing = [text for text, *others in zip(_traits(row), *traits, strict=True) if len(set(others)) > 1]
        labels.append(" ".join([name, *differing]))
    return labels


def _traits(row: BenchRow) -> tuple[str, ...]:
    return f"{row.input_height}x{row.input_width}", row.backend, row.precision
