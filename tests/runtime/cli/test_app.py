"""The commands as a user meets them: exit codes, one-line errors, files."""

import json
import os
import subprocess
import sys

import pytest
from fakes.onnx_graph import write_onnx
from typer.testing import CliRunner

from lightdepth_runtime.cli.app import app, run_app
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="tiny", input_height=64, input_width=96, parameters=1)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_onnx(tmp_path_factory.mktemp("model") / "tiny.onnx", SPEC)


@pytest.fixture
def run(capsys, monkeypatch):
    """Run the app in this process as `main` does; returns exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lightdepth", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            run_app(app)
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def test_infer_writes_every_kind_and_says_what_it_did(run, model, tum, tmp_path):
    code, out, err = run("infer", "--model", model, tum, "--output", tmp_path / "out", "--colormap", "turbo")
    assert code == 0
    said = ["2 left out", "Depth isn't corrected for the camera's focal length"]
    assert [line.split(":")[0] for line in err.splitlines()] == said
    assert "6 images" in out
    assert len(list((tmp_path / "out").iterdir())) == 18


def test_infer_writes_only_what_save_names(run, model, tum, tmp_path):
    code, _, _ = run("infer", "--model", model, tum, "-o", tmp_path, "--save", "png16,npy", "--range", "0.5,8")
    assert code == 0
    assert {path.name.split("_depth")[1] for path in tmp_path.iterdir()} == {"_mm.png", ".npy"}


def test_one_damaged_image_of_many_makes_one_line_each_and_exit_code_1(run, model, tum_copy, tmp_path):
    victim = sorted(tum_copy.rglob("*_rgb.jpg"))[2]
    victim.write_bytes(victim.read_bytes()[:1500])
    code, _, err = run("infer", "--model", model, tum_copy, "-o", tmp_path / "out", "--save", "npy")
    assert code == 1
    assert [line.split(":")[0] for line in err.splitlines()][2:] == ["Left out", "Error"]
    assert err.count(victim.name) == 2
    assert len(list((tmp_path / "out").iterdir())) == 5


@pytest.mark.parametrize(
    "arguments",
    [
        ["infer"],
        ["infer", "a.png", "--colormap", "jet"],
        ["infer", "a.png", "--save", "png,exr"],
        ["infer", "a.png", "--range", "5,1"],
        ["infer", "a.png", "--range", "5"],
        ["infer", "a.png", "--threads", "0"],
        ["eval"],
        ["eval", "--data", ".", "--protocol", "eigan"],
        ["eval", "--data", ".", "--align", "mean"],
        ["nonsense"],
    ],
)
def test_wrong_arguments_are_exit_code_2(run, arguments):
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Traceback" not in err


def test_a_wrong_protocol_names_the_nearest(run):
    words = run("eval", "--data", ".", "--protocol", "eigan")[2].replace("│", " ").split()  # out of Typer's frame
    assert "did you mean 'eigen'?" in " ".join(words)


def test_a_wrong_choice_is_answered_in_our_words(run):
    err = run("eval", "--data", ".", "--align", "mean")[2]
    assert "'mean' is not one of" in err
    assert "Value error" not in err


def test_errors_are_one_line_and_exit_code_1(run, tmp_path, tum, model):
    for arguments in (
        ["infer", tmp_path / "none.png"],
        ["infer", tmp_path],
        ["infer", "n" * 300],
        ["infer", "--model", tmp_path / "none.onnx", tum],
        ["eval", "--data", tmp_path / "none"],
        ["eval", tmp_path / "none.onnx", "--data", tum],
        ["eval", model, "--data", tum, "--json", tmp_path],
    ):
        code, out, err = run(*arguments)
        assert (code, out) == (1, ""), arguments
        assert err.startswith("Error: ")
        assert err.count("\n") == 1
        assert "unexpected" not in err


def test_an_unexpected_failure_is_one_line_too(run, monkeypatch, tum):
    def broken(*_, **__):
        raise KeyError("inner thing")

    monkeypatch.setattr("lightdepth_runtime.pairs.load_pairs", broken)
    code, _, err = run("eval", "--data", tum)
    assert code == 1
    assert err.count("\n") == 1
    assert "unexpected KeyError" in err
    assert "--debug" in err


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux has it")  # noqa: PTH110
@pytest.mark.parametrize("words", ["eval --data {}", "--version"], ids=["much", "little"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_printing_onto_a_full_disk_is_one_sentence(tum, words, unbuffered):
    command = [sys.executable, "-m", "lightdepth_runtime", *words.format(tum).split()]
    environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
    with open("/dev/full", "w") as full:  # noqa: PTH123
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=120, env=environment)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert line.startswith("Error: Can't write what is printed, or a temporary file (TMPDIR): No space left on device.")


def test_a_reader_that_has_gone_is_no_error_to_tell():
    read, write = os.pipe()
    os.close(read)
    environment = {**os.environ, "PYTHONUNBUFFERED": ""}
    command = [sys.executable, "-m", "lightdepth_runtime", "--version"]
    done = subprocess.run(command, stdout=write, stderr=subprocess.PIPE, text=True, timeout=120, env=environment)
    os.close(write)
    assert (done.returncode, done.stderr) == (1, "")


def test_debug_shows_the_traceback(monkeypatch, tmp_path):
    from lightdepth_runtime.errors import LightDepthError

    monkeypatch.setattr(sys, "argv", ["lightdepth", "--debug", "infer", str(tmp_path / "none.png")])
    with pytest.raises(LightDepthError):
        run_app(app)


def test_an_interruption_is_exit_code_130(run, monkeypatch, tum):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("lightdepth_runtime.pairs.load_pairs", interrupted)
    assert run("eval", "--data", tum)[0] == 130


def test_eval_prints_the_protocol_and_writes_the_schema(run, model, tum, tmp_path):
    target = tmp_path / "new" / "eval.json"
    code, out, err = run("eval", model, "--data", tum, "--align", "median", "--tta", "--json", target)
    assert (code, err) == (0, "")
    assert "eigen: Eigen crop" in out
    assert "median-aligned" in out
    assert "2 pairs" in out
    assert "RMSE" in out
    assert "95 % interval" in out
    result = json.loads(target.read_text())
    assert result["schema"] == "lightdepth.eval/1"
    low, high = result["interval_95"]["abs_rel"]
    assert f"{low:.4f} - {high:.4f}" in out
    assert result["samples"] == 2
    assert result["protocol"]["alignment"] == "median"
    assert result["protocol"]["flip_tta"] is True
    assert {"rmse_m", "mae_m", "abs_rel", "sq_rel", "log10", "silog", "delta1", "delta2", "delta3"} <= result.keys()


def test_eval_that_cannot_write_its_json_fails_before_evaluating(run, monkeypatch, tum, model, tmp_path):
    def evaluated(*_, **__):
        raise AssertionError("evaluation began")

    monkeypatch.setattr("lightdepth_runtime.evaluation.evaluate.evaluate", evaluated)
    (tmp_path / "file").touch()
    code, _, err = run("eval", model, "--data", tum, "--json", tmp_path / "file" / "eval.json")
    assert code == 1
    assert "Can't write" in err


def test_an_eval_that_fails_leaves_no_json(run, monkeypatch, tum_copy, model, tmp_path):
    victim = sorted(tum_copy.rglob("*_rgb.jpg"))[-1]
    for path in tum_copy.rglob("*_rgb.jpg"):
        path.write_bytes(victim.read_bytes()[:900])
    code, _, err = run("eval", model, "--data", tum_copy, "--json", tmp_path / "out" / "eval.json")
    assert code == 1
    assert "truncated" in err
    assert list((tmp_path / "out").iterdir()) == []


def test_help_names_every_command_and_option():
    runner = CliRunner()
    assert all(name in runner.invoke(app, ["--help"]).output for name in ("infer", "eval", "bench", "--debug"))
    shown = runner.invoke(app, ["infer", "--help"], env={"COLUMNS": "200"}).output
    assert all(option in shown for option in ("--model", "--output", "--colormap", "--save", "png,png16,npy", "turbo"))


BLOCKED = """
import sys
from importlib.abc import MetaPathFinder

class Block(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Block())
"""


def isolated(blocked, code):
    script = BLOCKED.format(blocked=blocked) + code
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60)


def test_the_runtime_imports_with_numpy_alone():
    heavy = ["torch", "torchvision", "onnx", "lightdepth", "lightdepth_export", "cv2", "onnxruntime", "typer", "rich"]
    result = isolated(
        heavy,
        "import numpy; before = {name.split('.')[0] for name in sys.modules}\n"
        "import lightdepth_runtime, lightdepth_runtime.infer.infer, lightdepth_runtime.evaluation.evaluate\n"
        "print(sorted({name.split('.')[0] for name in sys.modules} - before - set(sys.stdlib_module_names)))",
    )
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip() == "['lightdepth_runtime']"


def test_commands_run_without_torch(model, tum, tmp_path):
    result = isolated(
        ["torch", "onnx", "lightdepth", "lightdepth_export"],
        f"sys.argv = ['x', 'infer', {str(tum)!r}, '--model', {str(model)!r}, '-o', {str(tmp_path)!r}, '--save=npy']\n"
        "from lightdepth_runtime.cli.app import main; main()",
    )
    assert result.returncode == 0
    assert len(list(tmp_path.iterdir())) == 6


@pytest.mark.parametrize(
    ("missing", "package"),
    [("typer", "typer"), ("cv2", "opencv-python-headless"), ("onnxruntime", "onnxruntime")],
)
def test_a_missing_package_is_named_with_its_install_command(missing, package, model, tum, tmp_path):
    result = isolated(
        [missing],
        f"sys.argv = ['x', 'infer', '--model', {str(model)!r}, {str(tum)!r}, '-o', {str(tmp_path)!r}]\n"
        "import runpy; runpy.run_module('lightdepth_runtime', run_name='__main__')",
    )
    assert result.returncode == 1
    assert f"pip install {package}" in result.stderr
    assert "Traceback" not in result.stderr


def test_help_names_arguments_without_types_and_no_default_twice(run):
    for command in ("infer", "eval", "bench", "calibrate"):
        code, out, _ = run(command, "--help")
        assert code == 0
        assert "<" not in out, "types of Python's are no words of the user's"
        blocks = out.replace("│", " ").split(" --")
        assert not [block for block in blocks if "Default: " in block and "[default: " in block]
