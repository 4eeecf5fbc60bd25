"""What each form of an export costs in accuracy, bytes and time on a CPU: the table of the README.

Usage: lightdepth export CHECKPOINT -o m.onnx --fp16 --int8 --embed-preprocessing 480x640 --data DIR --pairs 1000
       python benchmarks/export_forms.py m.onnx... [--threads 2] [--json FILE]

Accuracy is what the export measured and wrote into `m.parity.json`. Times are ratios to the FP32 file in one
interleaved run; a form that embeds its preprocessing is held against the FP32 file with the runtime's processing
around it, both from frame to metres. Forms whose arithmetic no CPU has (FP16, and INT8 as TensorRT computes it) are
not timed.
"""

import json as json_module
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import onnxruntime
import typer

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.machine import describe_machine, usable_cores
from lightdepth_runtime.progress import track
from lightdepth_runtime.timing import Schedule, time_interleaved

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


def main(
    models: list[Path],
    threads: Annotated[int | None, typer.Option(help="Of the network; the usable cores.")] = None,
    rounds: Annotated[int, typer.Option()] = 15,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Print a Markdown row for each form of each model; write the JSON where asked."""
    threads = threads or usable_cores()
    rows = [row for model in models for row in measure(model, threads, rounds)]
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


def measure(model: Path, threads: int, rounds: int) -> list[dict[str, Any]]:
    """Return a row of the JSON for each form in the model's parity report, FP32 first."""
    report = json_module.loads(model.with_suffix(".parity.json").read_text(encoding="utf-8"))
    steps = {form: report["steps"][form] for form in FORMS if form in report["steps"]}
    paths = {form: model.with_name(model.stem + FORMS[form][0]) for form in steps}
    frame = np.random.default_rng(0).integers(0, 256, (*FRAME, 3), dtype=np.uint8)
    with DepthEstimator.load(model, "cpu", threads) as estimator:
        timed = {"whole": lambda: estimator(frame)}
        timed |= {form: _call(paths[form], frame, threads) for form in steps if FORMS[form][1]}
        samples = time_interleaved(
            list(timed.values()), Schedule(rounds=rounds), progress=lambda n: track(n, model.name, len(n))
        )
        times = {form: np.array(sample.round_medians_ms()) for form, sample in zip(timed, samples, strict=True)}
        name = f"{estimator.spec.name} {estimator.spec.input_width}x{estimator.spec.input_height}"
    rows = []
    for form, step in steps.items():
        base = times["whole" if step["embedded"] else "onnx-fp32"]
        metrics = {key: step["candidate_metrics"][key] for key in ("rmse_m", "abs_rel", "delta1")}
        rows.append(
            {
                "model": name,
                "form": form,
                "images": step["images"],
                "data": report["data"],
                "protocol": report["protocol"]["id"],
                **metrics,
                "megabytes": paths[form].stat().st_size / 1e6,
                "time_ratio": float(np.median(times[form] / base)) if form in times else None,
            }
        )
    return rows


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
