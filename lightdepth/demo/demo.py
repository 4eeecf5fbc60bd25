"""The whole line on real pairs that ship with the project: train, evaluate, export, infer, bench, report."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from accelerate.utils import set_seed

from lightdepth_export.artifacts import ExportOptions
from lightdepth_runtime.atomic import make_folder, write_json
from lightdepth_runtime.bench.result import BenchResult
from lightdepth_runtime.bench.run import BenchOptions
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import EvalResult, evaluate
from lightdepth_runtime.evaluation.prediction import Predictor
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.infer.infer import infer_files, plan_jobs
from lightdepth_runtime.pairs import PairSet, load_pairs

from ..baselines.names import DEPTH_ANYTHING_SMALL
from ..bench import Against, bench_models
from ..checkpoints.backend import TorchBackend
from ..checkpoints.checkpoint import build_model
from ..compare.panels import draw_panels, estimated_panel
from ..config import TrainConfig, load_config
from ..export import DEMO_DATA, export_checkpoint
from ..report.demo import DemoResult, write_report
from ..runs.folder import RunFolder
from ..training.inputs import describe
from ..training.train import train

__all__ = ["run_demo"]

Say = Callable[[str], None]

# Small enough for about a minute on two cores; random weights, so that nothing is downloaded.
DEMO_SETTINGS = (
    *("image_height=96", "image_width=128", "encoder_weights=none", "precision=fp32", "zoom_max=1.0"),
    *("epochs=4", "passes_per_epoch=14", "batch_size=8", "val_fraction=0", "num_workers=0"),
)
PICTURED = 3
BENCH_ROUNDS = 5


def run_demo(output: Path, *, say: Say = lambda _: None) -> DemoResult:
    """Train for about a minute, score before and after, export with parity, infer, bench, write `report.md`.

    Raises:
        LightDepthError: the folder can't be written, or holds a run that is not a demo's.
    """
    config = load_config(None, DEMO_SETTINGS, {"data_root": str(DEMO_DATA)})
    folder = _fresh_run(output / "run")
    training, test = load_pairs(DEMO_DATA, "train"), load_pairs(DEMO_DATA, "test")
    say("1/5 Scoring a constant and an untrained network")
    scores = [
        _score(_constant(training), test, "median of the training depth"),
        _score(_untrained(config, training), test, "untrained"),
    ]
    say("2/5 Training for about a minute")
    train(config, folder.path, say=say)
    say("3/5 Exporting to ONNX in FP32 and FP16, compared with PyTorch on the test pairs")
    export = export_checkpoint(folder.best, output / "demo.onnx", options=ExportOptions(fp16=True), say=say)
    say("4/5 Scoring the checkpoint and the ONNX file, writing depth maps")
    with DepthEstimator.load(folder.best, device="cpu") as estimator:
        scores.append(_score(estimator, test, "trained, PyTorch"))
    with DepthEstimator.load(export.fp32, device="cpu") as estimator:
        scores.append(_score(estimator, test, "trained, ONNX FP32"))
        _draw(estimator, test, output)
    with DepthEstimator.load(device="cpu") as estimator:
        scores.append(_score(estimator, test, "lite0, as shipped"))
        shipped_training_data = estimator.spec.training_data
    say("5/5 Timing beside Depth Anything V2 Small (its architecture, random weights)")
    bench = _bench(export.fp32, test, say)
    write_json(output / "bench.json", bench.to_dict())
    for score in scores:
        name = score.model.replace(", ", "-").replace(" ", "-").lower()
        write_json(output / "eval" / f"{name}.json", score.to_dict())
    result = DemoResult(folder, tuple(scores), export, bench, shipped_training_data)
    write_report(result, output / "report.md")
    return result


def _fresh_run(path: Path) -> RunFolder:
    """Remove the run of an earlier demo; leave anyone else's alone."""
    folder = RunFolder(path)
    if folder.config_path.exists():
        if load_config(folder.config_path).data_root != str(DEMO_DATA):
            raise LightDepthError(f"{path} holds a run that is not a demo's; choose another --output.")
        shutil.rmtree(path)
    make_folder(path.parent)
    return folder


def _score(predictor: Predictor, test: PairSet, label: str) -> EvalResult:
    return evaluate(predictor, test, get_protocol("eigen"), model=label)


def _constant(training: PairSet) -> Predictor:
    """Predict the median depth of the training pairs everywhere."""
    depths = np.concatenate([frame.depth_m[frame.depth_m > 0] for frame in (pair.read() for pair in training.pairs)])
    prediction = np.full((1, 1), np.median(depths), np.float32)
    return lambda _: prediction


def _untrained(config: TrainConfig, training: PairSet) -> Predictor:
    set_seed(config.seed)
    network = build_model(config)
    return DepthEstimator(TorchBackend(network, describe(config, network, training), "cpu"))


def _draw(estimator: DepthEstimator, test: PairSet, output: Path) -> None:
    """Write depth maps of every test image, and the report's picture of a few."""
    images = [DEMO_DATA / pair.name for pair in test.pairs]
    infer_files(estimator, plan_jobs(images), output / "depth")
    frames = [(pair.name, pair.read()) for pair in test.spread(PICTURED).pairs]
    panels = [estimated_panel(estimator, frame.image, frame.depth_m, name) for name, frame in frames]
    draw_panels(panels, output / "panels.png")


def _bench(model: Path, test: PairSet, say: Say) -> BenchResult:
    frame = test.pairs[0].read().image
    baseline = Against(DEPTH_ANYTHING_SMALL, "random")
    options = BenchOptions(("cpu",), None, BENCH_ROUNDS, False)
    name = f"demo test image, {frame.shape[1]}x{frame.shape[0]}"
    return bench_models([str(model), "lite0"], frame, baseline, frame_name=name, options=options, say=say)
