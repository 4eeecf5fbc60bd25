"""What `train`, `config` and `runs` say: settings that can be found, and how a run goes on."""

from pathlib import Path

import pytest
import yaml

from lightdepth.export import DEMO_DATA
from lightdepth.training import train as train_module

SMALL = (
    "train", "--data", DEMO_DATA, "--image-size", "64x96", "--batch-size", 8, "--set", "encoder=resnet10t",
    "--set", "encoder_weights=none", "--set", "decoder_channels=[8, 8, 8, 8]", "--set", "precision=fp32",
    "--set", "num_workers=0", "--set", "val_fraction=0",
)  # fmt: skip


@pytest.fixture
def interrupt_after_an_epoch(monkeypatch):
    original = train_module._Training._epoch

    def once(self, board):
        original(self, board)
        raise KeyboardInterrupt

    monkeypatch.setattr(train_module._Training, "_epoch", once)
    return lambda: monkeypatch.setattr(train_module._Training, "_epoch", original)


@pytest.mark.slow
def test_an_interrupted_run_says_how_to_go_on_and_a_resumed_one_from_where(run, interrupt_after_an_epoch):
    code, _, error = run(*SMALL, "--epochs", 2, "-o", "runs/a")
    assert code == 130
    assert "1 of 2 epochs" in error
    command = error[error.index("lightdepth train") :].split()
    interrupt_after_an_epoch()
    code, out, error = run(*command[1:])
    assert (code, error) == (0, "")
    assert "Resuming runs/a at epoch 2 of 2" in out
    code, out, _ = run("train", "--resume")
    assert code == 0
    assert "runs/a is finished: 2 of 2 epochs" in out
    assert "--start-from runs/a/best.safetensors" in out
    code, out, error = run("train", "--resume", "--epochs", 5)
    assert code == 1
    assert "epochs was 2, now 5" in error
    assert "--start-from runs/a/best.safetensors" in error


def test_the_commonest_settings_are_options_and_the_others_say_how_they_are_set(run):
    Path("a.safetensors").touch()
    words = ["train", "--epochs", 3, "--batch-size", 4, "--learning-rate", "1e-4", "--model", "lite0"]
    code, out, _ = run(*words, "--image-size", "64x96", "--start-from", "a.safetensors", "--show-config")
    assert code == 0
    shown = yaml.safe_load(out)
    assert (shown["epochs"], shown["batch_size"], shown["learning_rate"]) == (3, 4, 1e-4)
    assert (shown["model"], shown["image_height"], shown["image_width"]) == ("lite0", 64, 96)
    assert shown["start_from"] == "a.safetensors"
    assert not Path("runs").exists()
    code, _, error = run("train", "--weight-decay", "0.1")
    assert code == 2
    assert "--set" in error
    assert "weight_decay=VALUE" in error


def test_the_printed_config_is_what_train_reads_in_this_folder(run):
    code, out, _ = run("config")
    assert code == 0
    Path("config.yaml").write_text(out.replace("epochs: 25", "epochs: 7"))
    assert yaml.safe_load(run("train", "--show-config")[1])["epochs"] == 7
