import re
from pathlib import Path

import pytest
import yaml

from lightdepth.config import PRESETS, TrainConfig, describe_config, load_config
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.spec import Intrinsics


def refusal(*overrides, text=None, tmp_path=None):
    path = None
    if text is not None:
        path = tmp_path / "config.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(LightDepthError) as caught:
        load_config(path, overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_the_printed_config_is_a_config_file_with_every_key_at_its_default(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(describe_config())
    assert list(yaml.safe_load(path.read_text())) == list(TrainConfig.model_fields)
    assert load_config(path) == load_config(None) == TrainConfig()
    assert load_config(path, ["model=lite0"]) == load_config(None, ["model=lite0"])


def test_a_tilde_is_the_home_folder_as_in_a_shell(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "start.pth").touch()
    path = tmp_path / "config.yaml"
    path.write_text(
        "data_root: ~/pairs\nteacher_cache: ~/labels\nstart_from: ~/start.pth\ndistill_from: [~/a.onnx, lite0]\n"
        "extra_data: [{path: ~/more}]\n"
    )
    config = load_config(path)
    assert (config.data_root, config.teacher_cache) == (f"{tmp_path}/pairs", f"{tmp_path}/labels")
    assert config.start_from == f"{tmp_path}/start.pth"
    assert config.teachers() == [f"{tmp_path}/a.onnx", "lite0"]
    assert config.extra_data[0].path == f"{tmp_path}/more"


def test_a_config_that_is_printed_and_read_again_is_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("a: b # c").touch()
    path = tmp_path / "config.yaml"
    config = load_config(
        None, ["model=lite0", "data_root='12'", "val_data='null'", "start_from='a: b # c'", "clip_norm=1e-9"]
    )
    path.write_text(describe_config(config))
    assert load_config(path) == config


def test_every_key_has_a_sentence_of_help():
    for key, field in TrainConfig.model_fields.items():
        assert field.description, key
        assert field.description.endswith("."), key
        assert f"  # {field.description}" in describe_config()


def test_the_defaults_are_the_full_network_at_480x640_with_fp16():
    config = TrainConfig()
    assert (config.encoder, config.image_height, config.image_width) == ("resnet18", 480, 640)
    assert (config.decoder_channels, config.precision) == ([256, 128, 64, 32], "fp16")


def test_flags_win_over_set_and_set_over_the_file(tmp_path):
    (tmp_path / "c.yaml").write_text("epochs: 1\nbatch_size: 1\nseed: 1\n")
    flags = {"epochs": 3, "val_data": None}
    config = load_config(tmp_path / "c.yaml", ["epochs=2", "batch_size=2"], flags)
    assert (config.epochs, config.batch_size, config.seed, config.val_data) == (3, 2, 1, None)


@pytest.mark.parametrize(
    ("item", "key", "value"),
    [
        ("learning_rate=1e-4", "learning_rate", 1e-4),
        ("learning_rate=0.5", "learning_rate", 0.5),
        ("learning_rate=1", "learning_rate", 1.0),
        ("decoder_channels=[8, 8, 4, 4]", "decoder_channels", [8, 8, 4, 4]),
        ("flip=false", "flip", False),
        ("encoder_weights=none", "encoder_weights", "none"),
        ("data_root=/data/a=b", "data_root", "/data/a=b"),
        ("data_root=1e4", "data_root", "1e4"),
        ("data_root=null", "data_root", None),
        (" epochs =7", "epochs", 7),
    ],
)
def test_set_reads_values_as_people_write_them(item, key, value):
    assert getattr(load_config(None, [item]), key) == value


def test_a_number_that_yaml_takes_for_text_is_read_in_the_file_too(tmp_path):
    (tmp_path / "c.yaml").write_text("learning_rate: 1e-4\n")
    assert load_config(tmp_path / "c.yaml").learning_rate == 1e-4


def test_an_unknown_key_names_the_nearest(tmp_path):
    expected = "Unknown config key 'learnin_rate' (did you mean 'learning_rate'?)."
    assert refusal("learnin_rate=1") == expected
    assert refusal(text="learnin_rate: 1", tmp_path=tmp_path) == expected
    assert refusal("xyzzy=1") == "Unknown config key 'xyzzy'."


@pytest.mark.parametrize(
    ("item", "words"),
    [
        ("epochs=many", "'epochs'"),
        ("epochs=0", "'epochs': Input should be greater than or equal to 1, got 0"),
        ("epochs=2.5", "'epochs'"),
        ("learning_rate=-1", "greater than 0"),
        ("learning_rate=.inf", "finite"),
        ("learning_rate=nan", "'learning_rate'"),
        ("loss=l2", "'silog' or 'l1', got 'l2'"),
        ("precision=fp8", "'precision'"),
        ("model=resnet19", "'resnet18' or 'lite0'"),
        ("decoder_channels=[1, 2, 3]", "'decoder_channels'"),
        ("val_fraction=1", "less than 1"),
        ("flip=perhaps", "'flip'"),
        ("seed=-1", "'seed'"),
        ("intrinsics=[1, 2, 3]", "'intrinsics'"),
        ("intrinsics=[-1, 500, 320, 240, 640, 480]", "positive focal lengths"),
        ("image_height=100", "100x640 is not divisible by 32.*use 96x640"),
        ("encoder=34", "'encoder'"),
        ("epochs", "--set needs key=value, got 'epochs'"),
        ("epochs=[1", "not valid YAML"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_its_key(item, words):
    assert re.search(words, refusal(item))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("epochs: [1", "is not valid YAML"),
        ("- epochs", "must hold `key: value` lines, got a list"),
        ("just text", "got a str"),
        (b"\xff\xfe", "is not valid YAML"),
        ("!!python/object/apply:os.system ['true']", "is not valid YAML"),
    ],
)
def test_a_faulty_file_is_one_sentence_that_names_it(tmp_path, text, words):
    message = refusal(text=text, tmp_path=tmp_path)
    assert words in message
    assert "config.yaml" in message


def test_a_missing_file_is_named_and_an_empty_one_is_all_defaults(tmp_path):
    with pytest.raises(LightDepthError, match=r"Can't read the config .*gone.yaml: No such file"):
        load_config(tmp_path / "gone.yaml")
    (tmp_path / "empty.yaml").write_text("# nothing yet\n")
    assert load_config(tmp_path / "empty.yaml") == TrainConfig()


def test_a_preset_fills_what_its_own_layer_leaves_open(tmp_path):
    lite = load_config(None, ["model=lite0", "image_height=96"])
    assert (lite.encoder, lite.image_height, lite.image_width) == ("tf_efficientnet_lite0", 96, 256)
    assert load_config(None, ["image_height=96", "model=lite0"]) == lite
    (tmp_path / "defaults.yaml").write_text(describe_config())
    over_file = load_config(tmp_path / "defaults.yaml", ["model=lite0"])
    assert {key: getattr(over_file, key) for key in PRESETS["lite0"]} == PRESETS["lite0"]
    (tmp_path / "c.yaml").write_text("encoder: resnet34\nimage_height: 96\n")
    over_keys = load_config(tmp_path / "c.yaml", ["model=lite0"])
    assert (over_keys.encoder, over_keys.image_height) == ("tf_efficientnet_lite0", 192)
    (tmp_path / "c.yaml").write_text(describe_config().replace("model: resnet18", "model: lite0"))
    assert load_config(tmp_path / "c.yaml") == over_file


@pytest.mark.parametrize("overrides", [[], ["model=lite0", "image_width=320", "learning_rate=1.7e-7", "flip=false"]])
def test_a_config_written_as_yaml_or_json_reads_back_equal(tmp_path, overrides):
    config = load_config(None, [*overrides, "intrinsics=[518.858, 519.47, 325.582, 253.736, 640, 480]"])
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(config.model_dump(), sort_keys=False))
    assert load_config(tmp_path / "c.yaml") == config
    assert TrainConfig.model_validate_json(config.model_dump_json()) == config


def test_intrinsics_describe_a_camera():
    config = load_config(None, ["intrinsics=[518.9, 519.5, 325.6, 253.7, 640, 480]"])
    assert config.camera() == Intrinsics(518.9, 519.5, 325.6, 253.7, 640, 480)
    assert TrainConfig().camera() is None
