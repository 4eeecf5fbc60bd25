"""The parts of `gpu_check.py`, which starts this file once for each: gpu_check_parts.py NAME FILES RESULT."""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import onnx
import torch

from lightdepth.baselines.baseline import export_baseline
from lightdepth.baselines.depth_anything import depth_anything_size, load_depth_anything
from lightdepth.bench import export_untrained
from lightdepth.checkpoints.backend import HALF_DEVICE
from lightdepth.checkpoints.checkpoint import build_model, save_checkpoint
from lightdepth.config import check_config
from lightdepth.export import DEMO_DATA
from lightdepth_export.engine import can_build_here, engine_here
from lightdepth_export.onnx.forms import fp16_form, fp32_form, int8_forms
from lightdepth_export.parity.compare import check_parity
from lightdepth_export.parity.frames import read_frames
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.backends import Backend, open_backend
from lightdepth_runtime.backends.backend import staged
from lightdepth_runtime.backends.device_buffers import open_cuda
from lightdepth_runtime.backends.tensorrt.module import Flavour
from lightdepth_runtime.bench.bench import bench
from lightdepth_runtime.bench.candidate import Candidate, open_candidate
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.bench.run import read_frame
from lightdepth_runtime.bench.timing import Schedule, time_interleaved
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import SHIPPED_MODEL, DepthEstimator
from lightdepth_runtime.images.preprocess import preprocess
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

PACKAGES = ("torch", "timm", "accelerate", "transformers", "numpy", "opencv-python-headless", "onnx", "onnxruntime",
            "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "cuda-bindings", "nvidia-ml-py")  # fmt: skip
FRAME_SIZE = (480, 640)
FLAVOURS: tuple[Flavour, ...] = ("tensorrt", "tensorrt_rtx")
Values = dict[str, Any]  # Any: JSON values


@dataclass(frozen=True)
class Setting:
    """Where the exported networks are, how long a part may take, and whether it only tries the program."""

    files: Path
    seconds: float
    smoke: bool
    save: Callable[[Mapping[str, Any]], None]  # what is known so far, should the part be stopped

    @property
    def device(self) -> str:
        """What networks run on."""
        return "cpu" if self.smoke else "cuda"


def environment(_: Setting) -> Values:
    """Say what is here."""
    installed = {d.name.lower().replace("_", "-"): d.version for d in metadata.distributions()}
    smi = shutil.which("nvidia-smi")
    query = ["--query-gpu=name,driver_version,memory.total,power.limit", "--format=csv,noheader"]
    gpu = subprocess.run([smi, *query], capture_output=True, text=True, check=False).stdout.strip() if smi else None
    return {
        "machine": describe_machine().to_dict(),
        "python": sys.version.split()[0],
        "packages": {name: installed[name] for name in PACKAGES if name in installed},
        "gpu": gpu or "none found by nvidia-smi",
        "torch_cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "engines": {flavour: can_build_here(flavour=flavour) or "can be built" for flavour in FLAVOURS},
    }


def files(setting: Setting) -> Values:
    """Export the networks that the other parts run, in the forms that they run."""
    folder, made = setting.files, {}
    started = time.monotonic()
    lite0 = onnx.load_model(SHIPPED_MODEL)
    _save(folder / "lite0.onnx", lite0)
    _save(folder / "lite0.fp16.onnx", fp16_form(lite0).model)
    _save(folder / "lite0.frame.onnx", fp32_form(lite0).with_preprocessing(*FRAME_SIZE).model)
    _save(folder / "lite0.fp16.frame.onnx", fp16_form(lite0).with_preprocessing(*FRAME_SIZE).model)
    made["lite0_s"] = time.monotonic() - started
    if not setting.smoke:
        path = export_untrained("resnet18", folder)
        half = fp16_form(onnx.load_model(path))
        _save(folder / "resnet18.fp16.onnx", half.model)
        _save(folder / "resnet18.fp16.frame.onnx", half.with_preprocessing(*FRAME_SIZE).model)
        path.rename(folder / "resnet18.onnx")
        made["resnet18_s"] = time.monotonic() - started
    for preset in ("lite0",) if setting.smoke else ("lite0", "resnet18"):
        config = check_config({"model": preset, "encoder_weights": "none"})
        network, size = build_model(config), (config.image_height, config.image_width)
        spec = ModelSpec(f"lightdepth-{preset}", *size, parameters=sum(p.numel() for p in network.parameters()))
        save_checkpoint(folder / f"{preset}.safetensors", network, spec, config)
    if not setting.smoke:
        model = load_depth_anything("random")
        height, width = depth_anything_size(*FRAME_SIZE, model.preprocessing)
        export_baseline(model, height, width, folder / "baseline.onnx")
        export_baseline(model, height, width, folder / "baseline.fp16.onnx", precision="fp16")
        made["baseline_s"] = time.monotonic() - started
    return {"exported": made}


def latency(setting: Setting) -> Values:
    """Time every network on every backend of this machine, in one interleaved run."""
    frame, frame_name = read_frame(None)
    candidates, missing = [], {}
    for label, make in _candidates(setting).items():
        print(label, flush=True)  # the log's last line, should opening it hang or crash
        try:
            candidates.append((label, make()))
        except Exception as error:  # whatever a driver or library raises: the others are still timed
            missing[label] = _first_line(error)
    schedule = Schedule(rounds=3 if setting.smoke else 15, turn_ms=20 if setting.smoke else 60)
    result = bench([c for _, c in candidates], frame, schedule, frame_name=frame_name).to_dict()
    for row, (label, candidate) in zip(result["rows"], candidates, strict=True):
        row["label"] = label
        row["device_reason"] = getattr(candidate.backend, "device_reason", None)
    return {"bench": result, "missing": missing}


def _candidates(setting: Setting) -> dict[str, Callable[[], Candidate]]:
    """Name what is timed; the baseline first, so that ratios compare with it."""
    made: dict[str, Callable[[], Candidate]] = {}
    for stem in ("baseline", "resnet18", "lite0"):
        for suffix in (".onnx", ".fp16.onnx"):
            path = setting.files / f"{stem}{suffix}"
            if path.is_file():
                made[f"{path.stem} ONNX Runtime"] = lambda path=path: open_candidate(path, setting.device, memory=False)
        checkpoint = setting.files / f"{stem}.safetensors"
        if checkpoint.is_file():
            for device in ("cpu",) if setting.smoke else ("cuda", HALF_DEVICE):
                label = f"{stem} torch{' fp16' if device == HALF_DEVICE else ''}"
                made[label] = lambda path=checkpoint, device=device: open_candidate(path, device, memory=False)
    for path in sorted(setting.files.glob("*.engine")):
        made[f"{path.stem} engine"] = lambda path=path: open_candidate(path, "auto", memory=False)
    return made


def call(setting: Setting) -> Values:
    """Time the whole call from a 640x480 frame beside the network alone."""
    frame, _ = read_frame(None)
    rows = {}
    forms = (".onnx", ".fp16.onnx", ".frame.onnx", ".fp16.frame.onnx")
    for name in (stem + form for stem in ("lite0", "resnet18") for form in forms):
        if not (setting.files / name).is_file():
            continue
        with DepthEstimator.load(setting.files / name, setting.device) as estimator:
            spec, backend = estimator.spec, estimator.backend
            batch = frame[None] if spec.frame_height is not None else preprocess(frame, spec)[None]
            calls = [partial(estimator, frame), partial(backend.run, staged(backend, batch))]
            whole, network = time_interleaved(calls, Schedule(rounds=3 if setting.smoke else 15, turn_ms=60))
            rows[name] = {
                "call_ms_p50": whole.percentile_ms(50),
                "call_ms_p99": whole.percentile_ms(99),
                "network_ms_p50": network.percentile_ms(50),
                "device_reason": estimator.device_reason,
            }
    plain = {name.replace(".frame", ""): rows[name.replace(".frame", "")]["network_ms_p50"] for name in rows}
    for name, row in rows.items():
        row["times_the_network"] = row["call_ms_p50"] / plain[name.replace(".frame", "")]
    return {"rows": rows}


def options(setting: Setting) -> Values:
    """Time ONNX Runtime's own options for convolutions."""
    from gpu_check_options import time_options

    if setting.smoke:
        return {"left_out": "a CPU has none of these options"}
    return {"rows": time_options(setting.files)}


def engine(setting: Setting) -> Values:
    """Build engines, self-test them, and say the precision of their layers."""
    built: Values = {}
    for flavour in FLAVOURS:
        if reason := can_build_here(flavour=flavour):
            built[flavour] = {"missing": reason}
            continue
        for name in ("lite0.onnx", "lite0.fp16.onnx", "lite0.fp16.frame.onnx", "resnet18.fp16.onnx"):
            target = setting.files / f"{Path(name).stem}.{flavour}.engine"
            started = time.monotonic()
            try:
                saved = engine_here(setting.files / name, target, flavour=flavour)
                sidecar = saved.sidecar
                built[f"{name} {flavour}"] = {
                    "seconds": time.monotonic() - started,
                    "self_test": dict(sidecar.self_test),
                    "convolutions": dict(sidecar.convolutions),
                    "other_precision_layers": list(sidecar.other_precision_layers),
                    "version": sidecar.tensorrt_version,
                    "latency_ms_p50": _time_engine(target),
                }
            except Exception as error:  # its own words are what is wanted
                built[f"{name} {flavour}"] = {"refused": _first_line(error)}
            setting.save({"engines": built})
    return {"engines": built}


def _time_engine(path: Path) -> Values:
    """Time a whole call, and the network alone with and without a CUDA graph."""
    from lightdepth_runtime.backends.tensorrt.backend import open_engine

    frame, _ = read_frame(None)
    graph, plain = (open_engine(path, cuda_graph=recorded) for recorded in (True, False))
    spec = graph.spec
    batch = frame[None] if spec.frame_height is not None else preprocess(frame, spec)[None]
    with DepthEstimator(graph) as estimator:
        calls = [partial(estimator, frame), *(partial(b.run, staged(b, batch)) for b in (graph, plain))]
        timed = time_interleaved(calls, Schedule(rounds=10, turn_ms=60))
        reason = estimator.device_reason
    plain.close()
    names = ("call", "cuda_graph", "plain")
    return {**{name: t.percentile_ms(50) for name, t in zip(names, timed, strict=True)}, "device_reason": reason}


def precision(setting: Setting) -> Values:
    """Compare FP16 and INT8 as the GPU computes them with their simulation on the CPU, on real frames."""
    fp32 = onnx.load_model(SHIPPED_MODEL)
    frames = list(read_frames(load_pairs(DEMO_DATA, "test")))
    batches = [preprocess(frame.image, open_backend(SHIPPED_MODEL, "cpu").spec)[None] for frame in frames]
    half = fp16_form(fp32)
    int8 = int8_forms(fp32, batches, allowed_abs_rel=0.015, say=lambda _: None)[0]
    candidates: dict[str, Backend] = {"fp16 simulated": half.open(None), "int8 simulated": int8.open(None)}
    if not setting.smoke:
        for name, form in (("fp16", half), ("int8", int8), ("fp32", fp32_form(fp32))):
            _save(setting.files / f"precision.{name}.onnx", form.model)
            candidates[f"{name} on the GPU"] = open_backend(setting.files / f"precision.{name}.onnx", "cuda")
    steps = check_parity(open_backend(SHIPPED_MODEL, "cpu"), candidates, frames)
    return {"steps": {step.step: step.to_dict() for step in steps}, "frames": len(frames)}


def gpu_test_files(root: Path) -> list[Path]:
    """Return the files of the tests that need a GPU; the others would be imported too, with all that they need."""
    return sorted((root / "tests").rglob("test_gpu.py"))


def tests(_: Setting) -> Values:
    """Run the tests that need a GPU."""
    root = Path(__file__).parent.parent
    options = ["-q", "-m", "gpu", "-p", "no:cacheprovider", "-rs"]
    command = [sys.executable, "-m", "pytest", *options, *map(str, gpu_test_files(root))]
    said = ""
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as run:
        assert run.stdout is not None, "opened with a pipe"
        for line in run.stdout:
            print(line, end="", flush=True)  # the log has it where the time is up
            said += line
    counts = {word: int(n) for n, word in re.findall(r"(\d+) (passed|failed|skipped|errors?|deselected)", said)}
    failed = re.findall(r"^(?:FAILED|ERROR) (.*)$", said, re.MULTILINE)
    return {"exit_code": run.returncode, "counts": counts, "failed": failed}


def _save(path: Path, model: onnx.ModelProto) -> None:
    onnx.save_model(model, str(path))


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:400]}"


def main() -> None:
    """Run one part and write its values."""
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("files", type=Path)
    parser.add_argument("result", type=Path)
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--smoke", action="store_true")
    given = parser.parse_args()
    part = {f.__name__: f for f in (environment, files, latency, call, options, engine, precision, tests)}[given.name]

    def save(values: Mapping[str, Any]) -> None:  # Any: JSON values
        write_json(given.result, json.loads(json.dumps(values, default=str)))

    if given.name not in ("environment", "files") and not given.smoke:
        open_cuda()  # says what is missing
    save(part(Setting(given.files, given.seconds, given.smoke, save)))


if __name__ == "__main__":
    try:
        main()
    except LightDepthError as problem:
        sys.exit(f"Error: {problem}")
