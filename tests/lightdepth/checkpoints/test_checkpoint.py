import hashlib
import json
import pickle
from contextlib import closing

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from lightdepth.checkpoints.backend import open_checkpoint
from lightdepth.checkpoints.checkpoint import (
    CONFIG_KEY,
    build_model,
    count_parameters,
    load_checkpoint,
    save_checkpoint,
)
from lightdepth.config import load_config
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import SPEC_KEY, ModelSpec

OVERRIDES = ["encoder=resnet10t", "encoder_weights=none", "decoder_channels=[16, 8, 8, 8]", "image_height=64"]


@pytest.fixture(scope="module")
def config():
    return load_config(None, [*OVERRIDES, "image_width=96"])


@pytest.fixture
def saved(config, tmp_path):
    """A network, its spec and its checkpoint."""
    torch.manual_seed(0)
    model = build_model(config).to(memory_format=torch.channels_last).eval()
    spec = ModelSpec("tiny", 64, 96, count_parameters(model), scores={"rmse_m": 0.5})
    save_checkpoint(tmp_path / "best.safetensors", model, spec, config)
    return model, spec, tmp_path / "best.safetensors"


def metadata_of(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def refusal(path):
    with pytest.raises(LightDepthError) as caught:
        load_checkpoint(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_weights_spec_and_config_come_back_equal_with_the_files_hash(saved, config):
    model, spec, path = saved
    loaded = load_checkpoint(path)
    assert loaded.config == config
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert loaded.spec == spec.with_changes(checkpoint_sha256=digest)
    assert not loaded.model.training
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        assert torch.equal(loaded.model.to(memory_format=torch.channels_last)(image), model(image))


def test_loading_never_asks_for_imagenet_weights_or_the_file_they_came_from(saved, config):
    model, spec, path = saved
    for weights in ("imagenet", "/nowhere/weights.pth"):
        save_checkpoint(path, model, spec, config.model_copy(update={"encoder_weights": weights}))
        assert load_checkpoint(path).config.encoder_weights == weights


def test_the_runtime_opens_a_checkpoint_like_any_model(saved, tum):
    _, spec, path = saved
    with DepthEstimator.load(path, "cpu", 1) as estimator:
        depth_m = estimator(load_pairs(tum, "test").pairs[0].read().image)
        assert estimator.spec.name == spec.name
    assert depth_m.shape == (120, 160)
    assert (depth_m > 0).all()


def test_a_checkpoint_on_a_cpu_takes_one_frame_at_a_time(saved):
    with closing(open_checkpoint(saved[2], "cpu", 1)) as backend:
        assert backend.largest_batch == 1  # validation asks for it


def test_a_training_can_start_from_the_weights_of_a_checkpoint(saved, config):
    model, _, path = saved
    tuned = build_model(config.model_copy(update={"start_from": str(path), "encoder_weights": "imagenet"}))
    for key, tensor in model.state_dict().items():
        assert torch.equal(tuned.state_dict()[key], tensor), key
    wider = config.model_copy(update={"start_from": str(path), "decoder_channels": [32, 8, 8, 8]})
    with pytest.raises(LightDepthError, match=r"best.safetensors doesn't fit the configured network .*: stages.0"):
        build_model(wider)


def test_a_missing_file_is_named(tmp_path):
    assert "No checkpoint at" in refusal(tmp_path / "gone.safetensors")


def test_an_exported_file_is_no_checkpoint_and_the_run_is_asked_for(tmp_path):
    (tmp_path / "m.onnx").write_bytes(b"")
    assert "is exported already" in refusal(tmp_path / "m.onnx")


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff" * 100])
def test_what_is_not_a_checkpoint_is_refused(tmp_path, content):
    (tmp_path / "m.safetensors").write_bytes(content)
    assert "not a readable safetensors checkpoint" in refusal(tmp_path / "m.safetensors")


def test_a_truncated_checkpoint_is_refused(saved):
    path = saved[2]
    for size in (4, 400, path.stat().st_size - 10):
        path.write_bytes(path.read_bytes()[:size])
        assert "not a readable safetensors checkpoint" in refusal(path)
        save_checkpoint(path, saved[0], saved[1], load_config(None, [*OVERRIDES, "image_width=96"]))


def test_a_pickle_posing_as_a_checkpoint_runs_no_code(tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "it-ran"), "w")

    path = tmp_path / "m.safetensors"
    path.write_bytes(pickle.dumps(Bomb()))
    assert "not a readable safetensors checkpoint" in refusal(path)
    torch.save({"model": Bomb()}, path)
    assert "not a readable safetensors checkpoint" in refusal(path)
    assert not (tmp_path / "it-ran").exists()


def test_foreign_safetensors_are_refused(tmp_path):
    save_file({"w": torch.zeros(1)}, tmp_path / "m.safetensors")
    assert "no LightDepth metadata" in refusal(tmp_path / "m.safetensors")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"head.to_depth.weight": torch.zeros(1, 9, 1, 1)},
            r"head.to_depth.weight is (1, 9, 1, 1), needed (1, 8, 1, 1)",
        ),
        ({"stowaway": torch.zeros(2)}, "stowaway is (2,), needed absent"),
        ({"head.to_depth.bias": None}, "head.to_depth.bias is absent, needed (1,)"),
    ],
)
def test_tensors_of_another_network_are_refused_with_both_shapes(saved, change, words):
    path = saved[2]
    state, metadata = load_file(path) | change, metadata_of(path)
    save_file({key: tensor for key, tensor in state.items() if tensor is not None}, path, metadata)
    assert words in refusal(path)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        (CONFIG_KEY, "{", "config that is not JSON"),
        (CONFIG_KEY, "[]", "config that is a list"),
        (CONFIG_KEY, json.dumps({"epochs": "x"}), "Config key 'epochs'"),
        (SPEC_KEY, "{}", "spec can't be read"),
    ],
)
def test_damaged_metadata_is_one_sentence(saved, key, value, words):
    path = saved[2]
    save_file(load_file(path), path, metadata_of(path) | {key: value})
    with pytest.raises(LightDepthError) as caught:
        load_checkpoint(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_cannot_be_written_leaves_nothing(saved, config, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(LightDepthError, match="Can't write"):
        save_checkpoint(tmp_path / "file" / "m.safetensors", saved[0], saved[1], config)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["best.safetensors", "file"]


def test_a_checkpoint_runs_on_known_devices_only(saved):
    with pytest.raises(LightDepthError, match="runs on auto, cpu, cuda, cuda:N or cuda-fp16, not 'tpu'"):
        open_checkpoint(saved[2], "tpu", None)
    if not torch.cuda.is_available():
        with pytest.raises(LightDepthError, match="no CUDA device here"):
            open_checkpoint(saved[2], "cuda", None)
        assert open_checkpoint(saved[2], "auto", 1).device == "cpu"


def test_a_config_key_that_was_removed_since_is_warned_of_and_left_out(saved, config, tmp_path):
    model, _, path = saved
    metadata = metadata_of(path)
    values = {**json.loads(metadata[CONFIG_KEY]), "old_key": 1}
    older = tmp_path / "older.safetensors"
    save_file(load_file(path), older, metadata={**metadata, CONFIG_KEY: json.dumps(values)})
    with pytest.warns(UserWarning, match=r"older.safetensors was trained with config keys .* \(old_key\)"):
        loaded = load_checkpoint(older)
    assert loaded.config == config
    for key, tensor in model.state_dict().items():
        assert torch.equal(loaded.model.state_dict()[key], tensor), key
