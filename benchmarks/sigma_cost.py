"""What the second output costs: `lite0` with depth and sigma against the same network cut down to depth, on a CPU.

    python benchmarks/sigma_cost.py

Three ways take turns: depth and sigma of the shipped file, depth alone of the shipped file, and depth of a file without
sigma's convolution. A ratio is the median over rounds of the ratio of two neighbouring turns, given with its 95 %
confidence interval and with the 10th and 90th percentile of the rounds, which say how busy the machine was. It writes
benchmarks/results/sigma_cost.json.
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import onnx

from lightdepth_export.onnx.metadata import embed_spec, spec_of
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import open_backend
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.bench.run import read_frame
from lightdepth_runtime.bench.timing import Samples, Schedule, time_interleaved
from lightdepth_runtime.estimator import SHIPPED_MODEL
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.progress import track

RESULT = Path(__file__).parent / "results" / "sigma_cost.json"
ALLOWED = 1.05


def main() -> None:
    """Time the three, print the ratios, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1, help="threads of the network; default: 1")
    parser.add_argument("--rounds", type=int, default=300, help="turns of each; default: 300")
    parser.add_argument("--json", type=Path, default=RESULT, help="file to write; default: the committed one")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lightdepth-") as folder:
        without = Path(folder) / "lite0.without_sigma.onnx"
        onnx.save_model(without_sigma(onnx.load_model(SHIPPED_MODEL)), without)
        shipped, cut = (open_backend(path, "cpu", given.threads) for path in (SHIPPED_MODEL, without))
        batch = preprocess(read_frame(None)[0], shipped.spec)[None]
        assert np.allclose(shipped.run(batch), cut.run(batch), rtol=1e-5), "the same depth"
        calls = {
            "depth and sigma": partial(shipped.run_both, batch),
            "depth of the same file": partial(shipped.run, batch),
            "depth of a file without sigma": partial(cut.run, batch),
        }
        schedule = Schedule(rounds=given.rounds, turn_ms=20)
        timed = time_interleaved(
            list(calls.values()), schedule, progress=lambda r: track(r, "Timing the outputs", len(r))
        )
    samples = dict(zip(calls, timed, strict=True))
    both, alone, least = samples.values()
    result = {
        "schema": "lightdepth.sigma-cost/1",
        "command": f"python benchmarks/sigma_cost.py --threads {given.threads} --rounds {given.rounds}",
        "machine": {**describe_machine().to_dict(), "threads": given.threads},
        "model": shipped.spec.name,
        "parameters": shipped.spec.parameters,
        "latency_ms_p50": {name: sample.percentile_ms(50) for name, sample in samples.items()},
        "both_against_without": ratio(both, least),
        "depth_alone_against_without": ratio(alone, least),
        "allowed": ALLOWED,
    }
    write_json(given.json, result)
    for key in ("both_against_without", "depth_alone_against_without"):
        print(key, result[key])


def without_sigma(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the network with what only sigma needs taken out."""
    spec = spec_of(model)
    cut = onnx.utils.Extractor(model).extract_model([spec.input_name], [spec.output_name])
    embed_spec(cut, spec.with_changes(sigma_tensor=None))
    return cut


def ratio(one: Samples, other: Samples) -> dict[str, float | list[float]]:
    """Return the median of the rounds' ratios, its 95 % confidence interval by order statistics, and their spread."""
    ratios = np.sort(np.array(one.round_medians_ms()) / np.array(other.round_medians_ms()))
    middle, half = len(ratios) / 2, 0.98 * len(ratios) ** 0.5
    interval = [float(ratios[max(0, int(middle - half))]), float(ratios[min(len(ratios) - 1, int(middle + half))])]
    low, median, high = np.percentile(ratios, [10, 50, 90])
    return {"median": float(median), "interval_95": interval, "p10": float(low), "p90": float(high)}


if __name__ == "__main__":
    main()
