"""Two builds of ONNX Runtime in one environment overwrite each other's files."""

from importlib import metadata

import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator


@pytest.fixture
def installed(monkeypatch):
    """Let only the packages in this set be installed."""
    names = set()

    def distribution(name):
        if name not in names:
            raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "distribution", distribution)
    return names


def test_both_packages_are_named_with_the_command_that_leaves_one(installed):
    installed |= {"onnxruntime", "onnxruntime-gpu"}
    with pytest.raises(LightDepthError, match="onnxruntime and onnxruntime-gpu are both installed") as caught:
        DepthEstimator.load(device="cpu")
    assert "pip uninstall -y onnxruntime onnxruntime-gpu && pip install onnxruntime " in str(caught.value)


@pytest.mark.parametrize("names", [{"onnxruntime"}, {"onnxruntime-gpu"}, set()])
def test_one_of_them_opens_a_model_and_a_build_from_source_has_no_package(installed, names):
    installed |= names
    with DepthEstimator.load(device="cpu") as estimator:
        assert estimator.backend.name == "onnxruntime"
