import os
import pickle

import pytest
import torch
from accelerate import Accelerator

from lightdepth.checkpoints.find import find_checkpoint
from lightdepth.config import load_config
from lightdepth.runs import state as run_state
from lightdepth.runs.folder import RunFolder, newest_run, newest_state
from lightdepth.runs.state import KEPT_STATES
from lightdepth_runtime.errors import LightDepthError


class Counter:
    def __init__(self, value=0):
        self.value = value

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state_dict):
        self.value = state_dict["value"]


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path / "run")


@pytest.fixture
def accelerator():
    return Accelerator(cpu=True)


def test_a_started_run_keeps_its_config_readable_and_is_not_started_twice(folder):
    config = load_config(None, ["learning_rate=1e-5", "data_root=/data/x"])
    folder.start(config)
    assert load_config(folder.require_config()) == config
    with pytest.raises(LightDepthError, match="already holds a run; continue it with --resume or choose another"):
        folder.start(config)


def test_resuming_where_nothing_runs_is_refused(folder):
    with pytest.raises(LightDepthError, match="holds no run to resume"):
        folder.require_config()
    with pytest.raises(LightDepthError, match="holds no run to resume"):
        folder.check_same_config(load_config(None))


def test_resuming_with_another_config_names_each_difference(folder):
    folder.start(load_config(None, ["epochs=3"]))
    with pytest.raises(LightDepthError, match=r"epochs was 3, now 4; loss was 'silog', now 'l1'\); start a new run"):
        folder.check_same_config(load_config(None, ["epochs=4", "loss=l1"]))


def test_workers_and_threads_may_change_on_resume(folder):
    folder.start(load_config(None))
    folder.check_same_config(load_config(None, ["num_workers=7", "num_threads=3"]))


def test_further_sets_may_lie_elsewhere_on_resume_but_not_weigh_otherwise(folder):
    def config(path, weight):
        return load_config(None, [f"extra_data=[{{path: {path}, weight: {weight}}}]"])

    folder.start(config("/a", 0.5))
    folder.record_path.write_text("{}")
    folder.check_same_config(config("/b", 0.5))
    with pytest.raises(LightDepthError, match="extra_data was"):
        folder.check_same_config(config("/b", 1))


def test_states_come_back_newest_first_and_old_ones_are_dropped(folder, accelerator):
    for epoch in range(1, 5):
        folder.save_state(accelerator, epoch, {"plus": Counter(epoch), "minus": Counter(-epoch)})
    assert [path.name for path in folder.states()] == ["epoch-0003", "epoch-0004"]
    assert len(folder.states()) == KEPT_STATES
    parts = {"plus": Counter(), "minus": Counter()}
    assert folder.load_state(accelerator, parts)
    assert [part.value for part in parts.values()] == [4, -4]


def test_what_an_interrupted_save_left_is_ignored_and_removed(folder, accelerator):
    folder.save_state(accelerator, 1, {"count": Counter(1)})
    left = folder.path / "state" / ".epoch-0002.tmp"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    half_written = [folder.path / name for name in (".best.x1y2.safetensors", ".config.x1y2.yaml")]
    for path in half_written:
        path.write_bytes(b"half")
    counter = Counter()
    assert folder.load_state(accelerator, {"count": counter})
    assert counter.value == 1
    assert not left.exists()
    assert not any(path.exists() for path in half_written)


def test_without_a_finished_epoch_there_is_no_state(folder, accelerator):
    assert not folder.load_state(accelerator, {"count": Counter()})


def test_the_random_generator_is_resumed(folder, accelerator):
    torch.manual_seed(5)
    folder.save_state(accelerator, 1, {})
    expected = torch.rand(3)
    torch.manual_seed(6)
    folder.load_state(accelerator, {})
    assert torch.equal(torch.rand(3), expected)


def test_a_state_runs_no_code(folder, accelerator, tmp_path):
    class Bomb:
        def __reduce__(self):
            return open, (str(tmp_path / "it-ran"), "w")

    folder.save_state(accelerator, 1, {"count": Counter(1)})
    part = folder.states()[0] / "count.pt"
    for write in (
        lambda: torch.save({"value": Bomb()}, part),
        lambda: part.write_bytes(pickle.dumps(Bomb(), protocol=2)),
    ):
        write()
        with pytest.raises(LightDepthError, match=r"can't be read .*delete .*state and --resume"):
            folder.load_state(accelerator, {"count": Counter()})
    assert not (tmp_path / "it-ran").exists()


def test_a_state_that_cannot_be_written_is_one_sentence(folder, accelerator):
    folder.path.mkdir()
    (folder.path / "state").write_text("in the way")
    with pytest.raises(LightDepthError, match="Can't save the training state") as caught:
        folder.save_state(accelerator, 1, {})
    assert "\n" not in str(caught.value)


def damage_bit(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [damage_bit, lambda path: path.write_bytes(b""), lambda path: path.unlink()])
def test_a_damaged_state_is_named_and_the_one_before_taken(folder, accelerator, damage):
    for epoch in (1, 2):
        folder.save_state(accelerator, epoch, {"count": Counter(epoch)})
    damage(folder.states()[-1] / "count.pt")
    counter, lines = Counter(), []
    assert folder.load_state(accelerator, {"count": counter}, lines.append)
    assert counter.value == 1
    assert len(lines) == 1
    assert "epoch-0002 can't be read" in lines[0]
    assert "going on from epoch-0001" in lines[0]


def test_a_full_disk_leaves_the_states_before_whole_and_gives_its_space_back(folder, accelerator, monkeypatch):
    folder.save_state(accelerator, 1, {"count": Counter(1)})

    def full(value, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run_state.torch, "save", full)
        with pytest.raises(
            LightDepthError, match=r"epoch-0002 \(.*No space left on device\); free some space"
        ) as caught:
            folder.save_state(accelerator, 2, {"count": Counter(2)})
    assert "\n" not in str(caught.value)
    assert [path.name for path in (folder.path / "state").iterdir()] == ["epoch-0001"]
    counter = Counter()
    assert folder.load_state(accelerator, {"count": counter})
    assert counter.value == 1


def test_metrics_are_read_as_they_were_written(folder):
    assert folder.read_metrics() == []
    rows = [{"epoch": 1, "loss": 0.25}, {"epoch": 2, "loss": 1e-7}]
    folder.write_metrics(rows)
    assert folder.read_metrics() == rows
    assert len(folder.metrics_path.read_text().splitlines()) == 2


def test_the_newest_run_is_found_by_its_files(tmp_path):
    with pytest.raises(LightDepthError, match="No trained run under"):
        newest_run(tmp_path)
    with pytest.raises(LightDepthError, match="No run to resume under"):
        newest_state(tmp_path)
    for age, name in enumerate(("late", "early")):
        for file in ("config.yaml", "best.safetensors"):
            path = tmp_path / name / file
            path.parent.mkdir(exist_ok=True)
            path.touch()
            os.utime(path, (1e9 - age, 1e9 - age))
    assert newest_run(tmp_path).path.name == newest_state(tmp_path).path.name == "late"
    os.utime(tmp_path / "early" / "config.yaml", (2e9, 2e9))  # started later, no finished epoch yet
    assert newest_state(tmp_path).path.name == "early"
    assert newest_run(tmp_path).path.name == "late"


def test_a_run_folder_stands_for_its_best_checkpoint(tmp_path):
    with pytest.raises(LightDepthError, match=r"holds no best.safetensors; name a training run"):
        find_checkpoint(tmp_path)
    best = tmp_path / "best.safetensors"
    best.touch()
    assert find_checkpoint(tmp_path) == best
    assert find_checkpoint(best) == best


def test_a_run_with_a_config_key_that_was_removed_since_is_not_resumed(tmp_path):
    (tmp_path / "config.yaml").write_text("old_key: 1\n")
    with pytest.raises(LightDepthError, match="Unknown config key 'old_key'"):
        RunFolder(tmp_path).check_same_config(load_config(None))
