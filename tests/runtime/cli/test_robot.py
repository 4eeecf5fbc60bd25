"""What a robot's user gives on the command line: sequences, steady depth."""

import json
from pathlib import Path

import pytest
from fakes.onnx_graph import write_onnx
from typer.testing import CliRunner

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
