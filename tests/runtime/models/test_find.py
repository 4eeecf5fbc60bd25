import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.models import SHIPPED_MODEL, find_model, shipped_models


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_model_is_a_file_a_runs_folder_or_a_shipped_models_name(tmp_path):
    best = tmp_path / "runs" / "a" / "best.safetensors"
    best.parent.mkdir(parents=True)
    best.touch()
    assert find_model(best) == best
    assert find_model("runs/a").resolve() == best
    assert find_model() == find_model("lite0") == SHIPPED_MODEL
    assert "lite0" in shipped_models()


def test_a_run_of_that_name_comes_before_the_shipped_model_and_another_folder_does_not(tmp_path):
    (tmp_path / "lite0").mkdir()
    assert find_model("lite0") == SHIPPED_MODEL
    (tmp_path / "lite0" / "best.safetensors").touch()
    assert find_model("lite0").name == "best.safetensors"


def test_a_model_that_is_not_there_names_the_nearest(tmp_path):
    (tmp_path / "kitchen.onnx").touch()
    for wrong, right in (("lite", "'lite0'"), ("kichen.onnx", "'kitchen.onnx'"), ("resnet", "'resnet18'")):
        with pytest.raises(LightDepthError, match=f"did you mean {right}"):
            find_model(wrong, also=["resnet18"])
    (tmp_path / "runs" / "room").mkdir(parents=True)
    with pytest.raises(LightDepthError, match="did you mean 'runs/room'"):
        find_model("runs/roo")
    (tmp_path / "data").mkdir()
    with pytest.raises(LightDepthError, match=r"data holds no best\.safetensors"):
        find_model("data")


def test_a_name_that_is_shipped_and_taken_for_another_reason_is_listed_once():
    with pytest.raises(LightDepthError) as caught:
        find_model("absent.onnx", also=["resnet18", "another"])
    assert str(caught.value).count("resnet18") == 1
    assert "another" in str(caught.value)
