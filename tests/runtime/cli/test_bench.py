import json
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.backends.baseline import BASELINE_KEY, BaselineSpec
from lightdepth_runtime.bench.peak_memory import measure_fresh_run
from lightdepth_runtime.bench.run import plan_rows, read_frame
from lightdepth_runtime.cli.app import app
from lightdepth_runtime.spec import SPEC_KEY, ModelSpec


def write_model(path, height, width, key, spec, constant_bytes=0):
    """Write an ONNX file that averages the channels, with a number of bytes of constants in it."""
    shape = [1, 3, height, width]
    nodes = [helper.make_node("ReduceMean", ["image", "axes"], ["mean"], keepdims=1)]
    constants = [helper.make_tensor("axes", TensorProto.INT64, [1], [1])]
    ballast = np.ones(max(1, constant_bytes // 4), np.float32)
    constants.append(helper.make_tensor("ballast", TensorProto.FLOAT, ballast.shape, ballast.tobytes(), raw=True))
    nodes.append(helper.make_node("ReduceMax", ["ballast"], ["largest"], keepdims=0))
    nodes.append(helper.make_node("Mul", ["mean", "largest"], ["depth"]))
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, shape)
    depth = helper.make_tensor_value_info("depth", TensorProto.FLOAT, [1, 1, height, width])
    graph = helper.make_graph(nodes, "mean", [image], [depth], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    model.metadata_props.add(key=key, value=spec.to_json())
    onnx.save(model, str(path))
    return path


@pytest.fixture
def ours(tmp_path):
    return write_model(tmp_path / "ours.onnx", 64, 96, SPEC_KEY, ModelSpec("ours", 64, 96, parameters=7))


@pytest.fixture
def baseline(tmp_path):
    spec = BaselineSpec("other", "relative-inverse", 70, 98, parameters=9, weights="random")
    return write_model(tmp_path / "other.onnx", 70, 98, BASELINE_KEY, spec)


def test_bench_times_our_models_and_baselines_in_one_table(ours, baseline, tmp_path):
    path = tmp_path / "bench.json"
    settings = ["--rounds", "1", "--threads", "1", "--no-memory", "--json", str(path)]
    answer = CliRunner().invoke(app, ["bench", str(baseline), str(ours), *settings], catch_exceptions=False)
    assert answer.exit_code == 0
    assert "other / ours: latency" in answer.output
    result = json.loads(path.read_text())
    assert [row["model"] for row in result["rows"]] == ["other", "ours"]
    assert result["settings"]["threads"] == 1


def test_peak_memory_is_that_of_the_model_alone(tmp_path):
    small = write_model(tmp_path / "s.onnx", 64, 96, SPEC_KEY, ModelSpec("s", 64, 96, parameters=7))
    large = write_model(tmp_path / "l.onnx", 64, 96, SPEC_KEY, ModelSpec("l", 64, 96, parameters=7), 80_000_000)
    hundred_megabytes_here = np.ones(25_000_000, np.float32)  # of this process, not of the measured one
    least, most = (measure_fresh_run(path, "cpu", 1).peak_bytes for path in (small, large))
    assert most - least > 70_000_000
    assert least < 400_000_000
    assert hundred_megabytes_here.nbytes == 100_000_000


def test_the_cold_start_is_timed_from_the_start_of_the_process(ours):
    assert measure_fresh_run(ours, "cpu", 1).cold_start_ms > 50  # importing NumPy and ONNX Runtime alone takes longer


def test_a_model_that_fails_in_the_measuring_process_is_named(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(LightDepthError, match=r"broken\.onnx failed"):
        measure_fresh_run(path, "cpu", 1)


def test_without_an_image_the_frame_is_generated_and_always_the_same():
    first, name = read_frame(None)
    assert first.shape == (480, 640, 3)
    assert name == "generated, 640x480"
    assert np.array_equal(first, read_frame(None)[0])


def test_the_frame_is_named_without_its_folders(tum):
    frame, name = read_frame(next((tum / "freiburg3_cabinet").glob("*_rgb.jpg")))
    assert name.endswith(f"{frame.shape[1]}x{frame.shape[0]}")
    assert "/" not in name


@pytest.mark.slow
def test_one_run_times_models_and_baselines_on_several_devices(ours, baseline, tmp_path):
    pytest.importorskip("openvino", reason="OpenVINO is not installed")
    path = tmp_path / "bench.json"
    arguments = ["bench", str(ours), str(baseline), "--device", "cpu", "--device", "openvino", "--rounds", "1"]
    answer = CliRunner().invoke(app, [*arguments, "--threads", "1", "--json", str(path)], catch_exceptions=False)
    assert answer.exit_code == 0
    rows = json.loads(path.read_text())["rows"]
    assert [row["backend"] for row in rows] == ["onnxruntime cpu", "openvino cpu"] * 2
    assert all(row["peak_memory_bytes"] > 0 for row in rows)
    assert "ours onnxruntime cpu / ours openvino cpu: latency" in answer.output


def test_an_engine_runs_on_the_gpus_that_are_named_and_without_one_on_the_first():
    onnx_path, engine = Path("m.onnx"), Path("m.engine")
    rows = plan_rows([onnx_path, engine], ["cpu", "cuda:1"])
    assert rows == [(onnx_path, "cpu"), (onnx_path, "cuda:1"), (engine, "cuda:1")]
    assert plan_rows([engine], ["cpu", "openvino"]) == [(engine, "auto")]
