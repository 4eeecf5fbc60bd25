"""The `lightdepth` command: exit codes, one sentence for what went wrong, nothing half-written."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from safetensors.torch import save_file
from torch import zeros

from lightdepth.export import DEMO_DATA
from lightdepth_runtime import DepthEstimator, load_pairs

SMALL = ("image_height=64", "image_width=96", "encoder_weights=none", "precision=fp32", "epochs=1", "num_workers=0")


def train_arguments(data, output, *settings):
    overrides = [word for item in (*SMALL, *settings) for word in ("--set", item)]
    return ["train", "--data", data, "--output", output, *overrides]


def assert_one_sentence(result, *words):
    code, _, error = result
    lines = [line for line in error.splitlines() if line]
    assert code == 1, error
    assert len(lines) == 1, error
    assert lines[0].startswith("Error: ")
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize("line", [["--help"], ["infer", "--help"], ["train", "--help"]])
def test_help_pages_import_nothing_that_computes(line):
    """So they start in under half a second."""
    script = (
        "import sys; from lightdepth.cli.app import main\n"
        f"sys.argv = ['lightdepth', *{line}]\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print({'numpy', 'torch', 'cv2', 'onnx', 'onnxruntime', 'matplotlib'} & set(sys.modules), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert (done.stderr.strip(), "Usage" in done.stdout) == ("set()", True)


@pytest.fixture
def demo_copy(tmp_path):
    """A copy of the demo's pairs that a test may damage."""
    return Path(shutil.copytree(DEMO_DATA, tmp_path / "data"))


def first_pair(folder):
    color, depth = (folder / "train.txt").read_text().split()[:2]
    return folder / color, folder / depth


def test_missing_data_folder(run, tmp_path):
    assert_one_sentence(run(*train_arguments("nowhere", "run")), "nowhere")
    assert not (tmp_path / "run").exists()


def test_empty_data_folder(run, tmp_path):
    (tmp_path / "empty").mkdir()
    assert_one_sentence(run(*train_arguments("empty", "run")), "train pairs", "docs/data.md")
    assert not (tmp_path / "run").exists()


def test_missing_file_of_a_pair(run, demo_copy, tmp_path):
    color, _ = first_pair(demo_copy)
    color.unlink()
    assert_one_sentence(run(*train_arguments(demo_copy, "run")), color.name)


def test_truncated_jpeg_names_the_file(run, demo_copy, tmp_path):
    color, _ = first_pair(demo_copy)
    color.write_bytes(color.read_bytes()[:5000])
    assert_one_sentence(run(*train_arguments(demo_copy, "run")), color.name, "truncated")
    assert not list(tmp_path.glob("run/*.safetensors"))


def test_depth_of_another_size_than_its_image(run, demo_copy, tmp_path):
    _, depth = first_pair(demo_copy)
    cv2.imwrite(str(depth), cv2.imread(str(depth), cv2.IMREAD_UNCHANGED)[:100])
    assert_one_sentence(run(*train_arguments(demo_copy, "run")), depth.name, "320x100", "320x240")


def test_batch_without_valid_depth_names_its_files(run, demo_copy, tmp_path):
    for depth in demo_copy.glob("*/*_depth.png"):
        cv2.imwrite(str(depth), np.zeros((240, 320), np.uint16))
    settings = ("val_fraction=0", "num_workers=1")
    assert_one_sentence(run(*train_arguments(demo_copy, "run", *settings)), "has a reading", "_rgb.jpg")


def test_unknown_config_key_names_the_nearest(run, tmp_path):
    assert_one_sentence(run(*train_arguments(DEMO_DATA, "run", "bach_size=4")), "batch_size")


def test_input_size_that_32_does_not_divide(run, tmp_path):
    result = run(*train_arguments(DEMO_DATA, "run", "image_height=100"))
    assert_one_sentence(result, "100x96", "96x96")


def test_output_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("not a folder")
    assert_one_sentence(run(*train_arguments(DEMO_DATA, "file/run")), "file")


def test_export_of_what_is_no_checkpoint(run, tmp_path):
    (tmp_path / "text.safetensors").write_text("hello")
    save_file({"weight": zeros(3)}, tmp_path / "foreign.safetensors")
    assert_one_sentence(run("export", "text.safetensors", "-o", "m.onnx"), "text.safetensors")
    assert_one_sentence(run("export", "foreign.safetensors", "-o", "m.onnx"), "lightdepth train")
    assert not (tmp_path / "m.onnx").exists()


def test_export_without_a_run_says_so(run, tmp_path):
    assert_one_sentence(run("export"), "lightdepth train")


def test_wrong_argument_is_exit_code_2(run, tmp_path):
    assert run("train", "--no-such-option")[0] == 2


def test_help_names_every_command(run, tmp_path):
    code, text, _ = run("--help")
    assert code == 0
    for command in ("train", "eval", "infer", "export", "bench", "compare", "demo"):
        assert command in text


@pytest.mark.slow
def test_the_whole_line_on_the_demo_pairs(run, tmp_path):
    """Train, eval, export, eval again, infer: what the README shows, small."""
    trained = run(*train_arguments(DEMO_DATA, "runs/small", "val_fraction=0"))
    assert trained[0] == 0, trained[2]
    exported = run("export", "--fp16", "-o", "m.onnx", "--pairs", "4")
    assert exported[0] == 0, exported[2]
    assert {"m.onnx", "m.fp16.onnx", "m.parity.json"} <= {path.name for path in tmp_path.iterdir()}
    tables = []
    for number, model in enumerate(("runs/small/best.safetensors", "m.onnx")):
        scored = run("eval", model, "--data", DEMO_DATA, "--json", f"eval{number}.json")
        assert scored[0] == 0, scored[2]
        tables.append([line for line in scored[1].splitlines() if "RMSE" in line or "AbsRel" in line])
    assert tables[0] == tables[1] != []
    again = run("export", "-o", "scored.onnx", "--pairs", "4", "--scores", "eval0.json")
    assert again[0] == 0, again[2]
    scores, result = (
        DepthEstimator.load(tmp_path / "scored.onnx").spec.scores,
        json.loads(Path("eval0.json").read_text()),
    )
    assert (scores["protocol"], scores["samples"]) == (result["protocol"]["id"], result["samples"])
    assert scores["rmse_m"] == result["rmse_m"]
    Path("eval0.json").write_text("{}")
    assert_one_sentence(run("export", "-o", "refused.onnx", "--scores", "eval0.json"), "lightdepth eval --json")
    assert not Path("refused.onnx").exists()
    color = next(DEMO_DATA.glob("*/*_rgb.jpg"))
    inferred = run("infer", "--model", "m.onnx", color, "--output", "out")
    assert inferred[0] == 0, inferred[2]
    assert len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        ["data", "pack", "DIR", "-o", "packed"],
        ["data", "list", "DIR", "-o", "list.txt"],
        ["compare", "lite0", "resnet18", "--data", "DIR", "--visualize", "0"],
        ["export", "lite0", "-o", "m.onnx", "--data", "DIR"],
    ],
    ids=" ".join,
)
def test_a_unit_that_looks_wrong_is_warned_of_until_it_is_declared(run, tum_copy, command):
    for pair in (pair for split in ("train", "test") for pair in load_pairs(tum_copy, split).pairs):
        assert cv2.imwrite(str(pair.depth_path), pair.read_stored()[1].astype(np.uint16) * 5)
    words = [tum_copy if word == "DIR" else word for word in command]
    for unit, is_said in (([], True), (["--depth-scale", "tum"], False)):
        code, out, err = run(*words, *unit)
        assert (code, "Declare the unit with --depth-scale 5000 (tum)" in out + err) == (0, is_said), err
