"""Three distributions in one repository: each wheel holds its own files, and imports point one way."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DISTRIBUTIONS = {"lightdepth": ROOT, "lightdepth_export": ROOT / "export", "lightdepth_runtime": ROOT / "runtime"}


@pytest.mark.parametrize("package", DISTRIBUTIONS)
def test_wheel_holds_only_its_own_files(package, tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=DISTRIBUTIONS[package], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    foreign = [name for name in names if not name.startswith((f"{package}/", f"{package}-"))]
    assert not foreign
    assert f"{package}/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_demo_pairs_are_in_the_wheel(tmp_path):
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    assert {f"lightdepth/demo_data/{name}" for name in ("train.txt", "test.txt", "ATTRIBUTION.md")} <= names


def test_the_three_versions_are_one():
    import lightdepth
    import lightdepth_export
    import lightdepth_runtime

    assert lightdepth.__version__ == lightdepth_export.__version__ == lightdepth_runtime.__version__


@pytest.mark.parametrize(
    ("package", "banned"),
    [
        ("lightdepth_runtime", ("torch", "onnx", "lightdepth", "lightdepth_export", "cv2", "onnxruntime", "typer")),
        ("lightdepth_export.engine", ("torch", "lightdepth")),
        ("lightdepth.cli.app", ("torch", "accelerate", "timm", "transformers")),  # infer and eval must start at once
    ],
)
def test_import_works_where_others_are_absent(package, banned):
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in banned)
    subprocess.run([sys.executable, "-c", f"import sys; {blocked}; import {package}"], check=True)


@pytest.mark.slow
def test_training_and_its_workers_leave_transformers_alone():
    """It costs seconds and memory in each data worker, and only Depth Anything needs it."""
    modules = "lightdepth.training.train, lightdepth.data.loader"
    code = f"import sys; import {modules}; sys.exit('transformers' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
