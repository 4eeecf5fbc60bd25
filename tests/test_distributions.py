"""What the three distributions ask pip for, and what their errors tell the user to install."""

import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import lightdepth_runtime

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
PROJECTS = {
    name: tomllib.loads((ROOT / folder / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for name, folder in (("lightdepth", "."), ("lightdepth-export", "export"), ("lightdepth-runtime", "runtime"))
}
EVERY_EXTRA = {name: ("", *project["optional-dependencies"]) for name, project in PROJECTS.items()}
ONNX_RUNTIMES = {"onnxruntime", "onnxruntime-gpu"}
# NVIDIA's own builds: a wheel among the extras would shadow the one that a Jetson brings.
FROM_NVIDIA = {"tensorrt"}


def requirements(name, extra=""):
    """The requirements of a distribution, or of one extra of it."""
    project = PROJECTS[name]
    lines = project["optional-dependencies"].get(extra, []) if extra else project["dependencies"]
    return [Requirement(line) for line in lines]


def packages(name, extra="", seen=()):
    """The packages that a distribution brings with an extra, its siblings followed."""
    if (name, extra) in seen:
        return set()
    seen = (*seen, (name, extra))
    wanted = [*requirements(name), *(requirements(name, extra) if extra else [])]
    siblings = [(one.name, part) for one in wanted if one.name in PROJECTS for part in ("", *one.extras)]
    return {one.name for one in wanted}.union(*(packages(*sibling, seen) for sibling in siblings))


@pytest.mark.parametrize("distribution", PROJECTS)
@pytest.mark.parametrize(("extra", "brought"), [("", set()), ("cpu", {"onnxruntime"}), ("gpu", {"onnxruntime-gpu"})])
def test_an_extra_brings_one_onnx_runtime_and_no_extra_none(distribution, extra, brought):
    assert packages(distribution, extra) & ONNX_RUNTIMES == brought


@pytest.mark.parametrize(("extra", "brought"), [("dev", "onnxruntime"), ("dev-gpu", "onnxruntime-gpu")])
def test_the_tests_can_be_run_with_either_onnx_runtime(extra, brought):
    found = packages("lightdepth", extra)
    assert found & ONNX_RUNTIMES == {brought}
    assert {"pytest", "hypothesis", "moto", "nvidia-ml-py", "tensorrt-rtx"} <= found


@pytest.mark.parametrize("distribution", PROJECTS)
def test_siblings_are_pinned_to_the_same_version(distribution):
    every = [one for extra in EVERY_EXTRA[distribution] for one in requirements(distribution, extra)]
    siblings = [one for one in every if one.name in PROJECTS and one.name != distribution]
    assert {str(one.specifier) for one in siblings} <= {f"=={lightdepth_runtime.__version__}"}


@pytest.mark.parametrize("distribution", PROJECTS)
def test_every_python_from_3_10_is_taken(distribution):
    assert PROJECTS[distribution]["requires-python"] == ">=3.10"


def test_every_install_command_in_an_error_names_packages_of_an_index():
    """Nothing of this project is published, so an error never tells to install it by name."""
    known = set().union(*(packages(name, extra) for name in PROJECTS for extra in EVERY_EXTRA[name])) - set(PROJECTS)
    named = set()
    for folder in ("runtime/lightdepth_runtime", "export/lightdepth_export", "lightdepth"):
        for path in (ROOT / folder).rglob("*.py"):
            for command in re.findall(r"pip install ([a-z0-9 -]+[a-z0-9])", path.read_text(encoding="utf-8")):
                named |= {word for word in re.split(r" (?:in|or|and)\b", command)[0].split() if word != "-y"}
    assert {"onnxruntime", "opencv-python-headless", "typer"} <= named
    assert named <= known | FROM_NVIDIA


def test_the_citation_names_this_version():
    assert f"\nversion: {lightdepth_runtime.__version__}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")
