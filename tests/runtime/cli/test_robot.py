"""What a robot's user gives on the command line: sequences, steady depth."""

import json
from pathlib import Path

import numpy as np
import pytest
from fakes.onnx_graph import write_onnx
from typer.testing import CliRunner

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.cli.app import app
from lightdepth_runtime.spec import ModelSpec

TUM = Path(__file__).parents[2] / "data" / "tum"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    spec = ModelSpec(name="tiny", input_height=64, input_width=96, parameters=1)
    return str(write_onnx(tmp_path_factory.mktemp("model") / "tiny.onnx", spec))


def _run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_eval_of_a_sequence_shows_flicker_beside_abs_rel(model, tmp_path):
    result = _run(
        "eval", model, "--data", TUM, "--split", "train", "--protocol", "none", "--sequence", "--json", tmp_path / "s"
    )
    assert result.exit_code == 0
    assert "flicker" in result.output
    content = json.loads((tmp_path / "s").read_text())
    assert content["schema"] == "lightdepth.sequence/1"
    assert content["plain"]["flicker"] > 0
    assert content["steady"]["abs_rel"] > 0


def test_a_sequence_with_mirror_images_is_refused(model):
    result = _run("eval", model, "--data", TUM, "--split", "train", "--protocol", "none", "--sequence", "--tta")
    assert result.exit_code == 1
    assert "mirror" in str(result.exception)


def test_steady_depth_of_photographs_is_refused(model, tmp_path):
    result = _run("infer", "--model", model, TUM, "--steady", "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "--steady" in str(result.exception)


def test_live_calibration_takes_a_stream_and_typed_distances(model, tmp_path):
    cv2 = pytest.importorskip("cv2")
    clip = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"mp4v"), 10, (96, 64))
    for grey in range(60, 200, 4):
        writer.write(np.full((64, 96, 3), grey, np.uint8))
    writer.release()
    target = tmp_path / "calibrated.onnx"
    typed = "1.5\nx\n1.7\n\n"
    arguments = ["calibrate", model, "--live", str(clip), "-o", str(target), "--force"]
    result = CliRunner().invoke(app, arguments, input=typed)
    assert result.exit_code == 0, result.exception
    assert result.output.count("estimated") == 2
    with DepthEstimator.load(target, "cpu") as estimator:
        assert "2 live measurements" in estimator.spec.calibration.fitted_on


def test_live_calibration_of_a_photograph_is_refused(model):
    result = _run("calibrate", model, "--live", "photo.jpg")
    assert result.exit_code == 1
    assert "camera:0" in str(result.exception)


@pytest.mark.parametrize(
    ("options", "code", "named"),
    [
        (["--tilt", "10"], 2, "--camera-height"),
        (["--roll", "5"], 2, "--camera-height"),
        (["--camera-height", "0.3", "--roll", "90"], 1, "upright"),
        (["--camera-height", "-1"], 1, "positive number of metres"),
        (["--camera-height", "0.3", "--tilt", "95"], 1, "within 85 degrees"),
        (["--save", "scan"], 1, "--camera-height"),
        (["--scale-from-floor"], 1, "--camera-height"),
    ],
)
def test_a_camera_that_stands_nowhere_is_refused(model, tmp_path, options, code, named):
    result = _run("infer", "--model", model, TUM, "-o", tmp_path / "out", *options)
    assert result.exit_code == code
    assert named in (str(result.exception) if code == 1 else result.output)
    assert list(tmp_path.rglob("*.*")) == []
