"""The ROS 2 package's files: what colcon installs is there, and names and parameters agree."""

import ast
import importlib
import re
import runpy
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

pytest.importorskip("rosbags")
from fakes import ros

import lightdepth_runtime
from lightdepth_runtime.ros.messages import build

PACKAGE = Path(__file__).parents[3] / "runtime" / "ros2" / "lightdepth_ros"


def _setup():
    """The keywords of `setup(...)`, with NAME put in."""
    source = (
        (PACKAGE / "setup.py").read_text().replace("{NAME}", "lightdepth_ros").replace("=NAME", "='lightdepth_ros'")
    )
    tree = ast.parse(source.replace("[NAME]", "['lightdepth_ros']").replace('f"', '"'))
    call = next(
        node for node in ast.walk(tree) if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "setup"
    )
    return {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}


def test_every_file_that_is_installed_exists():
    for _, files in _setup()["data_files"]:
        for file in files:
            assert (PACKAGE / file).is_file()


def test_versions_and_names_agree():
    manifest = ElementTree.parse(PACKAGE / "package.xml").getroot()
    setup = _setup()
    assert manifest.findtext("name") == setup["name"] == "lightdepth_ros"
    assert manifest.findtext("version") == setup["version"] == lightdepth_runtime.__version__
    assert manifest.findtext("export/build_type") == "ament_python"


def test_the_entry_point_exists():
    [script] = _setup()["entry_points"]["console_scripts"]
    module, function = script.split(" = ")[1].split(":")
    tree = ast.parse((PACKAGE / (module.replace(".", "/") + ".py")).read_text())
    assert function in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_the_parameter_file_holds_every_parameter_with_its_default(monkeypatch):
    monkeypatch.syspath_prepend(str(PACKAGE))
    defaults = importlib.import_module("lightdepth_ros.parameters").DEFAULTS
    [node] = yaml.safe_load((PACKAGE / "config" / "lightdepth.yaml").read_text()).values()
    values = node["ros__parameters"]
    assert values == defaults
    assert {name: type(value) for name, value in values.items()} == {n: type(v) for n, v in defaults.items()}


def test_packages_that_the_node_imports_are_dependencies():
    manifest = ElementTree.parse(PACKAGE / "package.xml").getroot()
    declared = {element.text for element in manifest.findall("exec_depend")}
    own = {"lightdepth_runtime", *sys.stdlib_module_names}
    for file in [*PACKAGE.glob("lightdepth_ros/*.py"), *PACKAGE.glob("launch/*.py")]:
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                package = node.module.split(".")[0]
                assert package in declared | own, f"{file.name} imports {package}"
    built = Path(build.__file__).read_text()
    assert set(re.findall(r'"(\w+)/msg/', built)) <= declared, "the node finds message classes by these names"


def test_the_launch_file_passes_on_what_is_given_and_leaves_the_rest_to_the_parameter_file(monkeypatch):
    ros.install_launch(monkeypatch, PACKAGE)
    path = PACKAGE / "launch" / "lightdepth.launch.py"
    module = SimpleNamespace(**runpy.run_path(str(path)))
    for given, expected in (({}, []), ({"camera_height": "1", "camera_tilt": "12.5"}, [(1.0, 12.5)])):
        *arguments, make = module.generate_launch_description().entities
        context = {argument.name: argument.default_value for argument in arguments} | given
        [node] = make.function(context)
        file, *mounts = node.parameters
        assert Path(file).is_file()
        assert [(mount["camera_height"], mount["camera_tilt"]) for mount in mounts] == expected
        assert dict(node.remappings)["image"] == "/camera/image_rect"
        assert (node.package, node.executable, node.namespace) == ("lightdepth_ros", "lightdepth", "lightdepth")


def test_the_scan_is_not_too_high_for_nav2():
    costmap = yaml.safe_load((PACKAGE / "config" / "nav2_costmap.yaml").read_text())
    layer = costmap["local_costmap"]["local_costmap"]["ros__parameters"]["voxel_layer"]
    for source in layer["observation_sources"].split():
        assert layer[source]["max_obstacle_height"] > 1  # Nav2's default of a source is 0: nothing above the floor


def test_nav2_listens_to_topics_that_the_node_publishes():
    costmap = yaml.safe_load((PACKAGE / "config" / "nav2_costmap.yaml").read_text())
    layer = costmap["local_costmap"]["local_costmap"]["ros__parameters"]["voxel_layer"]
    for source in layer["observation_sources"].split():
        assert layer[source]["topic"].removeprefix("/lightdepth/") in build.TOPICS
