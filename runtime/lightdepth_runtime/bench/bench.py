"""Time models against each other in one run, and say on what."""

import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ..backends.baseline import BaselineSpec
from ..errors import LightDepthError
from ..spec import ModelSpec
from .candidate import Candidate
from .gpu_readings import GpuProbe, GpuReadings, measure_gpu, open_gpu_probe
from .machine import CpuWatch, describe_machine, usable_cores
from .result import BenchResult, BenchRow, Ratio, unique_labels
from .timing import Samples, Schedule, time_interleaved

__all__ = ["bench"]

BUSY_SHARE = 0.1  # more than this of the CPU in other hands makes the figures doubtful
PEAK_MEMORY_METHOD = "high-water mark of a fresh process that loads the model and runs it three times"

Progress = Callable[[range], Iterable[int]]
OpenProbe = Callable[[str], GpuProbe]


def bench(
    candidates: Sequence[Candidate],
    frame: NDArray[np.uint8],
    schedule: Schedule | None = None,
    *,
    threads: int | None = None,
    frame_name: str = "frame",
    matmul_gflops: float | None = None,
    open_probe: OpenProbe = open_gpu_probe,
    progress: Progress = iter,
) -> BenchResult:
    """Time the models on one frame, in turns.

    Args:
        candidates: what `open_candidate` returns; ratios compare the first of each precision with its others.
        frame: uint8 RGB (H, W, 3); each model gets it at its own input size.
        schedule: rounds, warm-up and the length of a turn.
        threads: what the models were opened with, for the record.
        frame_name: what the frame is, for the record.
        matmul_gflops: what the machine reaches in a matrix product with as many threads.
        open_probe: opens what the power, clocks and temperature of a GPU ("cuda:1") are read with, for each that a row
            runs on.
        progress: wraps the rounds.
    """
    schedule = schedule or Schedule()
    watch = CpuWatch()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None  # over the last minute
    networks = [partial(candidate.backend.run, candidate.input_for(frame)) for candidate in candidates]
    whole = [candidate.whole_call(frame) for candidate in candidates]
    timings = time_interleaved([*networks, *whole], schedule, progress=progress)
    samples, whole_samples = timings[: len(networks)], timings[len(networks) :]
    others = watch.others_share()
    readings, source = _read_gpu(candidates, networks, open_probe)
    timed_twice = zip(candidates, samples, whole_samples, readings, strict=True)
    rows = tuple(_row(candidate, timed, calls, matmul_gflops, gpu) for candidate, timed, calls, gpu in timed_twice)
    settings = {
        "threads": threads or usable_cores(),
        **asdict(schedule),
        "calls": [timed.calls for timed in samples],
        "frame": frame_name,
        "matmul_gflops": matmul_gflops,
        "timed": "the network alone, batch 1",
        "peak_memory": PEAK_MEMORY_METHOD,
        "gpu_readings": source,
        "load_average_before": load,
        "cpu_share_of_others": None if others is None else round(others, 3),
    }
    return BenchResult(
        describe_machine().to_dict(), settings, rows, _ratios(rows, samples), tuple(_warnings(samples, others))
    )


def _read_gpu(
    candidates: Sequence[Candidate], networks: Sequence[Callable[[], object]], open_probe: OpenProbe
) -> tuple[list[GpuReadings | None], str]:
    """Return the readings of each model that runs on a GPU, and where they come from or why there are none."""
    devices = [candidate.backend.device for candidate in candidates]
    readings: list[GpuReadings | None] = [None] * len(candidates)
    sources: dict[str, str] = {}  # by GPU
    for device in dict.fromkeys(devices):
        if device == "cpu":
            continue
        try:
            probe = open_probe(device)
        except LightDepthError as error:
            sources[device] = f"none: {error}"
            continue
        sources[device] = probe.source
        with closing(probe):
            for index, network in enumerate(networks):
                if devices[index] == device:
                    readings[index] = measure_gpu(network, probe)
    return readings, "; ".join(dict.fromkeys(sources.values())) or "none: no model ran on a GPU"


def _row(
    candidate: Candidate, timed: Samples, whole: Samples, matmul_gflops: float | None, gpu: GpuReadings | None
) -> BenchRow:
    spec, backend = candidate.backend.spec, candidate.backend
    p50 = timed.percentile_ms(50)
    on_cpu = backend.device == "cpu"  # the matrix product is the processor's
    reached_gflops = 2 * spec.gmacs / (p50 / 1e3) if spec.gmacs and on_cpu else None
    return BenchRow(
        model=spec.name,
        parameters=spec.parameters,
        gmacs=spec.gmacs,
        size_bytes=candidate.size_bytes,
        backend=f"{backend.name} {backend.device}",
        precision=spec.precision,
        input_height=spec.input_height,
        input_width=spec.input_width,
        latency_ms_p50=p50,
        latency_ms_p90=timed.percentile_ms(90),
        latency_ms_p99=timed.percentile_ms(99),
        images_per_s=1e3 / p50,
        peak_memory_bytes=candidate.peak_memory_bytes,
        weights=_weights(spec),
        call_ms_p50=whole.percentile_ms(50),
        cold_start_ms=candidate.cold_start_ms,
        matmul_share=_divide(reached_gflops, matmul_gflops),
        scores=dict(spec.scores) or None if isinstance(spec, ModelSpec) else None,
        gpu=gpu,
    )


def _weights(spec: ModelSpec | BaselineSpec) -> str:
    if isinstance(spec, BaselineSpec):
        return spec.weights
    return "random" if spec.training_data == "not trained" else "trained"


def _ratios(rows: Sequence[BenchRow], samples: Sequence[Samples]) -> dict[str, Ratio]:
    """Compare the first row of each precision with the others of that precision."""
    labels = unique_labels(rows)
    first_of = {row.precision: index for index, row in reversed(list(enumerate(rows)))}
    ratios = {}
    for index, (label, row, timed) in enumerate(zip(labels, rows, samples, strict=True)):
        reference = first_of[row.precision]
        if index == reference:
            continue
        first = rows[reference]
        by_round = np.array(samples[reference].round_medians_ms()) / np.array(timed.round_medians_ms())
        ratios[f"{labels[reference]} / {label}"] = Ratio(
            latency_p50=first.latency_ms_p50 / row.latency_ms_p50,
            latency_low=float(np.percentile(by_round, 10)),
            latency_high=float(np.percentile(by_round, 90)),
            parameters=_divide(first.parameters, row.parameters),
            gmacs=_divide(first.gmacs, row.gmacs),
            size=first.size_bytes / row.size_bytes,
            peak_memory=_divide(first.peak_memory_bytes, row.peak_memory_bytes),
        )
    return ratios


def _divide(first: float | None, other: float | None) -> float | None:
    return first / other if first and other else None


def _warnings(samples: Sequence[Samples], others: float | None) -> Iterable[str]:
    if others is not None and others > BUSY_SHARE:
        yield (
            f"Other processes took {others:.0%} of the CPU during this run, so the latencies are too high and the "
            "ratios uncertain; repeat it on an idle machine."
        )
    fewest = min(timed.calls for timed in samples)
    if fewest < 100:
        yield f"p99 rests on {fewest} calls at the slowest model; `bench --rounds` makes it steadier."
