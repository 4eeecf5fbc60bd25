"""Who stands in a comparison: how models are opened, what they are called, what they were trained on."""

from contextlib import ExitStack

import numpy as np
import onnx
import pytest
from fakes.onnx_graph import write_onnx
from typer.testing import CliRunner

from lightdepth.cli.app import app
from lightdepth.compare.candidates import Candidate, domain_of, open_baseline_file, open_candidates
from lightdepth_runtime import LightDepthError, ModelSpec
from lightdepth_runtime.backends.baseline import BASELINE_KEY, BaselineSpec
from lightdepth_runtime.pairs import load_pairs


@pytest.fixture
def test_pairs(tum):
    return load_pairs(tum, "test")


@pytest.mark.parametrize(
    ("training_data", "domain"),
    [
        ("tum (pair list, 4 pairs)", "in-domain"),
        ("elsewhere (pair list, 4 pairs)", "other data"),
        ("kaggle (kaggle, 4 pairs)", "other data"),
        ("not trained", "untrained"),
    ],
)
def test_the_domain_follows_from_names(test_pairs, training_data, domain):
    spec = ModelSpec("m", 32, 32, parameters=1, training_data=training_data)
    assert domain_of(spec, test_pairs) == domain


def test_two_packagings_of_nyu_are_one_domain(write_mat, tmp_path):
    pairs = load_pairs(write_mat(tmp_path / "official"), "test")
    spec = ModelSpec("m", 32, 32, parameters=1, training_data="downloads (kaggle, 50688 pairs)")
    assert domain_of(spec, pairs) == "in-domain"


@pytest.mark.parametrize("where", ["in the file", "beside the file", "in a file of its own"])
def test_another_projects_network_is_fed_as_its_spec_says_wherever_that_is(tmp_path, where):
    path = write_onnx(tmp_path / "net.onnx", ModelSpec("net", 32, 64, parameters=0))
    spec = BaselineSpec(where, "metric", 32, 64, 0, "trained").to_json()
    other = tmp_path / "other.json" if where == "in a file of its own" else None
    if where == "in the file":
        model = onnx.load(path)
        model.metadata_props.add(key=BASELINE_KEY, value=spec)
        onnx.save(model, path)
        spec = spec.replace(where, "what the file says comes first")
    (other or path.with_suffix(".json")).write_text(spec)
    with ExitStack() as stack:
        assert open_baseline_file(stack, path, other, "cpu", 1).name == where


def test_a_model_of_a_name_that_is_taken_gets_another_and_one_named_twice_is_refused(test_pairs, tmp_path):
    path = str(write_onnx(tmp_path / "other.onnx", ModelSpec("lite0", 32, 64, parameters=0)))
    first = Candidate("lite0", lambda image: np.ones(image.shape[:2], np.float32), "metric", 0, "", "", "other data")
    with ExitStack() as stack:
        opened = open_candidates(stack, [path], test_pairs, beside=[first], device="cpu", threads=1)
        assert [candidate.name for candidate in opened] == ["lite0", f"lite0 ({path})"]
        with pytest.raises(LightDepthError, match=r"other\.onnx is named twice; compare different models"):
            open_candidates(stack, [path, path], test_pairs, device="cpu", threads=1)


def test_a_baseline_is_not_compared_with_itself(tum, monkeypatch, tmp_path):
    compared = []

    def note(candidates, *_, **__):
        compared.append([candidate.name for candidate in candidates])
        raise LightDepthError("enough")

    def named(_stack, name, *_):
        return Candidate(name, np.mean, "relative-inverse", 0, "hub", "", "zero-shot")

    monkeypatch.setattr("lightdepth.compare.candidates.open_named_baseline", named)
    monkeypatch.setattr("lightdepth.compare.compare.compare", note)
    arguments = ["compare", "--data", str(tum), "--output", str(tmp_path / "out")]
    for models in (["depth-anything-v2-small"], ["lite0"]):
        assert isinstance(CliRunner().invoke(app, [*arguments, *models]).exception, LightDepthError)
    assert compared == [["depth-anything-v2-small"], ["depth-anything-v2-small", "lite0"]]
