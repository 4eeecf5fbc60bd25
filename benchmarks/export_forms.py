"""What each form of an export costs in accuracy, bytes and time on a CPU: a table of docs/results.md.

Usage: lightdepth export CHECKPOINT -o m.onnx --fp16 --int8 --embed-preprocessing 480x640 --data DIR --pairs 1000
       python benchmarks/export_forms.py m.onnx... [--data DIR] [--threads 2] [--json FILE]

Accuracy is what the export measured with ONNX Runtime and wrote into `m.parity.json`. Times are ratios to the FP32 file
in ONNX Runtime, in one interleaved run; a form that embeds its preprocessing is held against the FP32 file with the
runtime's processing around it, both from frame to metres. Forms whose arithmetic no CPU has (FP16, and INT8 as TensorRT
computes it) are not timed. With --data, the export's, the files that OpenVINO takes are scored on its test split and
timed there too, as `... in OpenVINO`.
"""

import json as json_module
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine, usable_cores
from lightdepth_runtime.bench.timing import Schedule, time_interleaved
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import PairSet, load_pairs
from lightdepth_runtime.progress import track

FRAME = (480, 640)
# Form in the parity report -> suffix of its file, and whether a CPU computes as its target does.
FORMS = {
    "onnx-fp32": (".onnx", True),
    "fp16-simulated": (".fp16.onnx", False),
    "int8-tensorrt": (".int8.onnx", False),
    "int8-cpu": (".int8.cpu.onnx", True),
    "onnx-fp32-frame": (".frame.onnx", True),
    "fp16-simulated-frame": (".fp16.frame.onnx", False),
    "int8-tensorrt-frame": (".int8.frame.onnx", False),
    "int8-cpu-frame": (".int8.cpu.frame.onnx", True),
}
METRICS = ("rmse_m", "abs_rel", "delta1")
IN_OPENVINO = ("onnx-fp32", "int8-cpu")


def main(
    models: list[Path],
    data: Annotated[Path | None, typer.Option(help="Pairs to score OpenVINO on.")] = None,
    threads: Annotated[int | None, typer.Option(help="Of the network; the usable cores.")] = None,
    rounds: Annotated[int, typer.Option()] = 15,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print a Markdown row for each form of each model; write the JSON where asked."""
    threads = threads or usable_cores()
    pairs = load_pairs(data, "test") if data else None
    rows = [row for model in models for row in measure(model, threads, rounds, pairs)]
    print("| model | form | RMSE (m) | AbsRel | delta1 | size | time of FP32's |\n|---|---|---|---|---|---|---|")
    for row in rows:
        print(
            "| {model} | {form} | {rmse_m:.4f} | {abs_rel:.4f} | {delta1:.4f} | {megabytes:.1f} MB | {time} |".format(
                **row, time=format(row["time_ratio"], ".2f") if row["time_ratio"] else "not measured"
            )
        )
    if json:
        machine = {**describe_machine().to_dict(), "threads": threads}
        write_json(json, {"schema": "lightdepth.export-forms/1", "machine": machine, "rows": rows})


def measure(model: Path, threads: int, rounds: int, pairs: PairSet | None) -> list[dict[str, Any]]:
    """Return a row of the JSON for each form in the model's parity report, FP32 first, then those in OpenVINO."""
    report = json_module.loads(model.with_suffix(".parity.json").read_text(encoding="utf-8"))
    if pairs and report["data"] != (given := f"{pairs.root.name} ({pairs.split})"):
        raise typer.BadParameter(f"{model.name} was judged on {report['data']}, and --data is {given}; give the same.")
    steps = {form: report["steps"][form] for form in FORMS if form in report["steps"]}
    paths = {form: model.with_name(model.stem + FORMS[form][0]) for form in steps}
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    with ExitStack() as opened:
        estimator = opened.enter_context(DepthEstimator.load(model, "cpu", threads))
        spec = estimator.spec
        batch = np.zeros((1, 3, spec.input_height, spec.input_width), np.float32)
        in_openvino = {
            form: opened.enter_context(DepthEstimator.load(paths[form], "openvino", threads))
            for form in IN_OPENVINO
            if pairs and form in paths
        }
        timed: dict[str, Callable[[], object]] = {"whole": lambda: estimator(frame)}
        timed |= {form: _call(paths[form], frame, threads) for form in steps if FORMS[form][1]}
        timed |= {f"{form} in OpenVINO": partial(e.backend.run, batch) for form, e in in_openvino.items()}
        samples = time_interleaved(
            list(timed.values()), Schedule(rounds=rounds), progress=lambda n: track(n, model.name, len(n))
        )
        times = {form: np.array(sample.round_medians_ms()) for form, sample in zip(timed, samples, strict=True)}
        scores = {form: _scores(e, pairs, form) for form, e in in_openvino.items() if pairs}
    base_row = {
        "model": f"{spec.name} {spec.input_width}x{spec.input_height}",
        "data": report["data"],
        "protocol": report["protocol"]["id"],
    }

    def row(form: str, file: Path, images: int, metrics: dict[str, Any], base: str) -> dict[str, Any]:
        ratio = float(np.median(times[form] / times[base])) if form in times else None
        size = {"megabytes": file.stat().st_size / 1e6, "time_ratio": ratio}
        return {**base_row, "form": form, "images": images, **{key: metrics[key] for key in METRICS}, **size}

    rows = [
        row(form, paths[form], step["images"], step["candidate_metrics"], "whole" if step["embedded"] else "onnx-fp32")
        for form, step in steps.items()
    ]
    return rows + [
        row(f"{form} in OpenVINO", paths[form], score["samples"], score, "onnx-fp32") for form, score in scores.items()
    ]


def _scores(estimator: DepthEstimator, pairs: PairSet, form: str) -> dict[str, Any]:
    """Return the metrics of all pairs under the protocol that exports are judged by."""
    progress = partial(track, label=f"{form} in OpenVINO", total=len(pairs))
    return evaluate(estimator, pairs, get_protocol("eigen"), model=form, progress=progress).to_dict()


def _call(path: Path, frame: np.ndarray, threads: int) -> Callable[[], object]:
    """Return a call of the bare session on a network input, or on the frame where the graph takes one."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (wanted,) = session.get_inputs()
    batch = frame[None] if wanted.type == "tensor(uint8)" else np.zeros(wanted.shape, np.float32)
    return lambda: session.run(None, {wanted.name: batch})


if __name__ == "__main__":
    typer.run(main)
