"""Reproduce the CPU latency ratios: our networks against Depth Anything V2 Small, in one interleaved run.

Run it on an idle machine, with nothing else open:

    python benchmarks/latency_cpu.py --rounds 15

Every network has random weights, which changes no latency. The claims it checks: `resnet18` at 480x640 takes at most
1/4.5 of Depth Anything V2 Small at its own 518x686 input, in ONNX Runtime, FP32; `lite0` at its default input at
most 1/80. Depth Anything V2 at our input size (476x644, the nearest multiples of 14 to 480x640) stands beside them.
With OpenVINO installed every network runs on it too, and each is compared on its own faster backend: 1/4 and 1/80.
"""

from __future__ import annotations

import argparse
import importlib.util
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightdepth.baselines.baseline import Baseline, export_baseline
from lightdepth.bench import export_untrained
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.bench import bench
from lightdepth_runtime.bench.candidate import open_candidate
from lightdepth_runtime.bench.machine import usable_cores
from lightdepth_runtime.bench.result import BenchResult, BenchRow
from lightdepth_runtime.bench.run import read_frame
from lightdepth_runtime.bench.table import bench_table
from lightdepth_runtime.bench.timing import Schedule
from lightdepth_runtime.progress import track

RESULT = Path(__file__).parent / "results" / "latency_cpu.json"
SAME_INPUT = (476, 644)  # multiples of 14 nearest to 480x640
# claim: (our model, the baseline's input, at least this many times as fast, each on its own fastest backend)
CLAIMS = (
    ("lightdepth-resnet18", (518, 686), 4.5, False),
    ("lightdepth-resnet18", (518, 686), 4.0, True),
    ("lightdepth-resnet18", SAME_INPUT, None, False),
    ("lightdepth-lite0", (518, 686), 80.0, False),
    ("lightdepth-lite0", (518, 686), 80.0, True),
)


def main() -> None:
    """Time the networks, print table and claims, write the JSON."""
    arguments = _parse()
    threads = arguments.threads or usable_cores()
    frame, frame_name = read_frame(arguments.image)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="lightdepth-")))
        result = _measure(_export(folder), frame, frame_name, threads, arguments.rounds)
    from rich.console import Console

    Console(width=170).print(bench_table(result))  # eight models side by side
    claims = _check(result.rows)
    for claim in claims:
        print(_say(claim))
    for warning in result.warnings:
        print(f"Note: {warning}")
    write_json(arguments.json, {**result.to_dict(), "claims": claims, "command": "python benchmarks/latency_cpu.py"})
    print(f"Wrote {arguments.json}")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="CPU latency of LightDepth against Depth Anything V2 Small.")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--image", type=Path)
    parser.add_argument("--json", type=Path, default=RESULT)
    return parser.parse_args()


def _export(folder: Path) -> list[Path]:
    """Write the four networks' ONNX files."""
    paths = [export_untrained(preset, folder) for preset in ("resnet18", "lite0")]
    with Baseline("random") as baseline:
        for height, width in ((518, 686), SAME_INPUT):
            path = folder / f"{baseline.model.name}-{height}x{width}.onnx"
            export_baseline(baseline.model, height, width, path)
            paths.insert(0, path)
    return paths


def _measure(paths: list[Path], frame: NDArray[np.uint8], frame_name: str, threads: int, rounds: int) -> BenchResult:
    candidates = [open_candidate(path, "cpu", threads) for path in track(paths, "Loading", len(paths))]
    if importlib.util.find_spec("openvino"):
        candidates += [open_candidate(path, "openvino", threads, memory=False) for path in paths]
    else:
        print("OpenVINO is not installed, so only ONNX Runtime is measured (pip install openvino).")

    def progress(numbers: range) -> Iterable[int]:
        return track(numbers, "Timing rounds", len(numbers))

    schedule = Schedule(rounds=rounds)
    result = bench(candidates, frame, schedule, threads=threads, frame_name=frame_name, progress=progress)
    for candidate in candidates:
        candidate.backend.close()
    return result


def _check(rows: Iterable[BenchRow]) -> list[dict[str, Any]]:  # Any: a JSON object
    """Compute each claim's ratio from the medians."""
    rows = list(rows)
    claims = []
    for model, size, needed, fastest in CLAIMS:
        ours = [row for row in rows if row.model == model]
        theirs = [row for row in rows if row.model not in ("lightdepth-resnet18", "lightdepth-lite0")]
        theirs = [row for row in theirs if (row.input_height, row.input_width) == size]
        if not fastest:
            ours, theirs = ([r for r in group if r.backend.startswith("onnxruntime")] for group in (ours, theirs))
        best, other = (min(group, key=lambda row: row.latency_ms_p50) for group in (ours, theirs))
        ratio = other.latency_ms_p50 / best.latency_ms_p50
        claims.append(
            {
                "model": model,
                "baseline": other.model,
                "baseline_input": f"{size[0]}x{size[1]}",
                "backends": "each its fastest" if fastest else "ONNX Runtime",
                "model_backend": best.backend,
                "baseline_backend": other.backend,
                "ratio": ratio,
                "needed": needed,
                "holds": None if needed is None else ratio >= needed,
            }
        )
    return claims


def _say(claim: dict[str, Any]) -> str:  # Any: a JSON object
    verdict = "" if claim["needed"] is None else f", needed {claim['needed']:g}: {'yes' if claim['holds'] else 'NO'}"
    return (
        f"{claim['baseline']} {claim['baseline_input']} ({claim['baseline_backend']}) / {claim['model']} "
        f"({claim['model_backend']}): {claim['ratio']:.1f}{verdict}"
    )


if __name__ == "__main__":
    main()
