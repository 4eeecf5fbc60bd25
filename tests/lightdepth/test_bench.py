import json

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from lightdepth.bench import Against, bench_models
from lightdepth.checkpoints.checkpoint import build_model, count_parameters, save_checkpoint
from lightdepth.cli.app import app
from lightdepth.config import check_config
from lightdepth.network.macs import count_gmacs
from lightdepth_runtime import LightDepthError, ModelSpec
from lightdepth_runtime.bench.run import BenchOptions

pytestmark = pytest.mark.usefixtures("exported_once")


@pytest.fixture
def checkpoint(tmp_path):
    config = check_config({"encoder_weights": "none", "image_height": 32, "image_width": 64})
    network = build_model(config).eval()
    spec = ModelSpec("ours", 32, 64, count_parameters(network), training_data="rooms (pair list, 4 pairs)")
    save_checkpoint(tmp_path / "model.safetensors", network, spec, config)
    return tmp_path / "model.safetensors", count_gmacs(network, 32, 64)


@pytest.mark.slow
def test_a_checkpoint_and_the_baseline_run_on_the_same_backend(checkpoint, tiny_depth_anything, tum, tmp_path):
    path, gmacs = checkpoint
    output = tmp_path / "bench.json"
    image = next((tum / "freiburg3_cabinet").glob("*_rgb.jpg"))
    arguments = ["bench", str(path), "--against-weights", str(tiny_depth_anything), "--image", str(image)]
    arguments += ["--rounds", "1", "--threads", "1", "--device", "cpu", "--no-memory", "--json", str(output)]
    answer = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert answer.exit_code == 0
    baseline, ours = json.loads(output.read_text())["rows"]
    assert (baseline["backend"], baseline["weights"]) == ("onnxruntime cpu", "tiny")
    assert (baseline["input_height"], baseline["input_width"]) == (70, 98), "its own input size, not ours"
    assert (ours["backend"], ours["weights"], ours["precision"]) == ("onnxruntime cpu", "trained", "fp32")
    assert ours["gmacs"] == pytest.approx(gmacs)


def test_a_baseline_of_another_name_is_refused_before_anything_is_timed(monkeypatch):
    monkeypatch.setattr("lightdepth.bench.run_bench", lambda *_, **__: pytest.fail("timed"))
    frame = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(LightDepthError, match="Unknown baseline 'midas'"):
        bench_models(["lite0"], frame, Against("midas"), frame_name="f", options=BenchOptions())


def test_a_missing_model_is_named(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(LightDepthError, match=r"absent\.onnx"):
        bench_models([str(tmp_path / "absent.onnx")], frame, frame_name="f", options=BenchOptions(memory=False))


@pytest.mark.slow
def test_a_checkpoint_runs_in_pytorch_beside_its_export(checkpoint, tmp_path):
    path, _ = checkpoint
    output = tmp_path / "bench.json"
    arguments = ["bench", str(path), "--device", "torch", "--device", "cpu", "--rounds", "1", "--threads", "1"]
    answer = CliRunner().invoke(app, [*arguments, "--no-memory", "--json", str(output)], catch_exceptions=False)
    assert answer.exit_code == 0
    backends = [row["backend"] for row in json.loads(output.read_text())["rows"]]
    assert backends == [f"torch {'cuda' if torch.cuda.is_available() else 'cpu'}", "onnxruntime cpu"]


def test_pytorch_alone_needs_a_checkpoint(tmp_path):
    frame = np.zeros((48, 64, 3), np.uint8)
    with pytest.raises(LightDepthError, match=r"lite0\.onnx can't run on --device torch: only checkpoints"):
        bench_models(["lite0"], frame, frame_name="f", options=BenchOptions(("cpu", "torch"), memory=False))


def test_what_is_no_checkpoint_runs_on_the_other_devices(checkpoint, monkeypatch):
    planned = []
    monkeypatch.setattr("lightdepth.bench.run_bench", lambda rows, *_, **__: planned.extend(rows))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    frame, options = np.zeros((48, 64, 3), np.uint8), BenchOptions(("torch", "cpu"))
    bench_models([str(checkpoint[0]), "lite0"], frame, frame_name="f", options=options)
    assert [(path.suffix, device) for path, device in planned] == [
        (".safetensors", "auto"),
        (".onnx", "cpu"),
        (".onnx", "cpu"),
    ]
    for models, against in (["lite0"], None), ([], Against("depth-anything-v2-small", "random")):
        with pytest.raises(LightDepthError, match=r"(lite0\.onnx|small) can't run on --device torch"):
            bench_models(
                [str(checkpoint[0]), *models], frame, against, frame_name="f", options=BenchOptions(("torch",))
            )


def test_on_a_gpu_pytorch_is_timed_in_both_precisions(checkpoint, monkeypatch):
    planned = []
    monkeypatch.setattr("lightdepth.bench.run_bench", lambda rows, *_, **__: planned.extend(rows))
    frame, options = np.zeros((48, 64, 3), np.uint8), BenchOptions(("torch",))
    for has_gpu in (False, True):
        monkeypatch.setattr(torch.cuda, "is_available", lambda has_gpu=has_gpu: has_gpu)
        bench_models([str(checkpoint[0])], frame, frame_name="f", options=options)
    assert [device for _, device in planned] == ["auto", "auto", "cuda-fp16"]
