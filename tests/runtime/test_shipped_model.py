"""The model inside the package: there, small, in metres, and licensed by a file of its own."""

import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator
from lightdepth_runtime.estimator import SHIPPED_MODEL
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.models import find_model
from lightdepth_runtime.pairs import load_pairs

ROOT = Path(__file__).parents[2]
DEMO_DATA = ROOT / "lightdepth" / "demo_data"


def test_it_is_under_four_million_parameters_and_18_mb_and_says_how_it_was_scored():
    assert SHIPPED_MODEL.stat().st_size < 18e6
    with DepthEstimator.load(device="cpu") as estimator:
        spec = estimator.spec
    assert spec.parameters == 3_614_186
    assert spec.sigma_tensor == "sigma"
    assert (spec.unit, spec.max_depth_m) == ("m", 10.0)
    assert spec.scores["protocol"] == get_protocol("eigen").id
    assert spec.scores["samples"] == 317


def test_the_larger_network_ships_in_8_bits_with_its_scores():
    with DepthEstimator.load("resnet18", device="cpu") as estimator:
        spec = estimator.spec
    assert (spec.name, spec.parameters, spec.precision, spec.sigma_tensor) == ("resnet18", 14_330_402, "int8", "sigma")
    assert find_model("resnet18").stat().st_size < 15e6
    assert spec.scores["samples"] == 317


@pytest.mark.parametrize("name", ["lite0", "resnet18"])
def test_no_blob_stands_in_the_corners(name):
    """NYU's white border once taught networks that corners are far: up to 1.24 times what stood beside them."""
    images = [read_image(path) for path in sorted(DEMO_DATA.glob("*/*_rgb.jpg"))[::4]]
    with DepthEstimator.load(name, device="cpu") as estimator:
        depths = [estimator(image, resolution="model") for image in images]
    for rows, columns, inner in (
        (slice(0, 5), slice(0, 5), (slice(12, 20), slice(12, 20))),
        (slice(0, 5), slice(-5, None), (slice(12, 20), slice(-20, -12))),
        (slice(-5, None), slice(0, 5), (slice(-20, -12), slice(12, 20))),
        (slice(-5, None), slice(-5, None), (slice(-20, -12), slice(-20, -12))),
    ):
        ratio = np.median([depth_m[rows, columns].mean() / depth_m[inner].mean() for depth_m in depths])
        assert ratio < 1.1


# lite0's depth in metres, every 48th row and 64th column from the middle of the first, on Python 3.11 with ONNX Runtime
# 1.32. A new model brings new values.
LITE0_DEPTH_M = [
    [2.83844, 2.74682, 3.11385, 3.12260],
    [2.93774, 2.88712, 3.22108, 3.22451],
    [2.52299, 2.79032, 1.04834, 2.36643],
    [1.28598, 1.38252, 0.74349, 0.76463],
]


def test_every_python_and_processor_gets_the_same_metres():
    """Python 3.10 with ONNX Runtime 1.23 differs by 1e-6 m; other processors sum in another order."""
    image = read_image(DEMO_DATA / "freiburg1_rpy" / "1305031234.829772_rgb.jpg")
    with DepthEstimator.load("lite0", device="cpu") as estimator:
        depth_m = estimator(image, resolution="model")
    np.testing.assert_allclose(depth_m[24::48, 32::64], LITE0_DEPTH_M, atol=1e-4)


def test_it_gives_metres_on_recordings_of_which_it_saw_other_frames():
    with DepthEstimator.load(device="cpu") as estimator:
        result = evaluate(estimator, load_pairs(DEMO_DATA, "test"), get_protocol("none"), model="shipped")
    constant = evaluate(
        lambda _: np.full((1, 1), 2.0, np.float32), load_pairs(DEMO_DATA, "test"), get_protocol("none"), model="2 m"
    )
    assert result.metrics.abs_rel < 0.8 * constant.metrics.abs_rel


def test_infer_needs_no_model_argument(tmp_path):
    image = next(DEMO_DATA.glob("*/*_rgb.jpg"))
    command = [sys.executable, "-m", "lightdepth_runtime", "infer", str(image), "--output", str(tmp_path / "out")]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    (metres,) = (tmp_path / "out").glob("*.npy")
    depth_m = np.load(metres)
    assert depth_m.shape == read_image(image).shape[:2]
    assert 0.3 < np.median(depth_m) < 10


def test_the_wheel_holds_both_with_cards_and_licence_under_30_mb(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT / "runtime", check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.stat().st_size < 30e6
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        (metadata,) = (name for name in names if name.endswith(".dist-info/METADATA"))
        text = archive.read(metadata).decode()
    models = ("lite0.onnx", "lite0.md", "resnet18.onnx", "resnet18.md", "LICENSE-WEIGHTS.txt")
    assert {f"lightdepth_runtime/models/{name}" for name in models} <= names
    assert "License-Expression: MIT AND LicenseRef-LightDepth-Weights" in text
    assert any(name.endswith("licenses/lightdepth_runtime/models/LICENSE-WEIGHTS.txt") for name in names)
