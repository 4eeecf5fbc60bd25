"""What a frame without a reading, a far range, a failing validation or a moved data set does to a run."""

import json
import shutil

import cv2
import numpy as np
import pytest
import torch
from fakes.runs import settings
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.config import load_config
from lightdepth.training import train as train_module
from lightdepth.training.train import train
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs


def blank(pair):
    cv2.imwrite(str(pair.depth_path), np.zeros((120, 160), np.uint16))


def scale_depth(folder, factor):
    for path in folder.rglob("*_depth.png"):
        cv2.imwrite(str(path), cv2.imread(str(path), cv2.IMREAD_UNCHANGED) * factor)


@pytest.mark.parametrize("batch_size", [1, 2])
def test_frames_without_a_reading_are_left_out_and_counted(tum_copy, tmp_path, batch_size):
    blank(load_pairs(tum_copy, "train").pairs[1])
    blank(load_pairs(tum_copy, "test").pairs[0])
    said = []
    folder = train(settings(tum_copy, f"batch_size={batch_size}"), tmp_path / "run", say=said.append)
    rows = folder.read_metrics()
    assert [(row["left_out_pairs"], row["left_out_validation"]) for row in rows] == [(1, 1), (1, 1)]
    assert load_checkpoint(folder.best).spec.scores["samples"] == 1
    assert "1 training pairs without a reading left out, 1 validation pairs without valid depth left out" in said[1]


def test_a_set_without_any_reading_is_refused_before_the_first_epoch(tum_copy, tmp_path):
    for pair in load_pairs(tum_copy, "test").pairs:
        blank(pair)
    with pytest.raises(LightDepthError, match="None of 2 validation pairs has valid depth under protocol"):
        train(settings(tum_copy), tmp_path / "run")
    for pair in load_pairs(tum_copy, "train").pairs:
        blank(pair)
    with pytest.raises(LightDepthError, match=r"None of 4 training pairs .*max_depth_m"):
        train(settings(tum_copy), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_camera_for_another_shape_of_frame_is_refused_before_the_first_epoch(tum_copy, tmp_path):
    rows, told = (tum_copy / "train.txt").read_text(), "# intrinsics: 535 535 320 180 640 360\n"
    with pytest.raises(LightDepthError, match="has 160x120 pixels and its camera is for 640x360, another shape"):
        train(settings(tum_copy, "intrinsics=[535, 535, 320, 180, 640, 360]"), tmp_path / "run")
    for split in ("test", "train"):
        (tum_copy / f"{split}.txt").write_text(told + (tum_copy / f"{split}.txt").read_text())
        with pytest.raises(LightDepthError, match="its camera is for 640x360"):
            train(settings(tum_copy), tmp_path / "run")
        (tum_copy / "test.txt").write_text(rows)
    assert not (tmp_path / "run").exists()


def test_a_range_of_forty_metres_is_trained_and_scored_as_such(tum_copy, tmp_path):
    scale_depth(tum_copy, 10)  # up to 40 m, hardly a pixel under 10
    folder = train(settings(tum_copy, "max_depth_m=60"), tmp_path / "run")
    scores = load_checkpoint(folder.best).spec.scores
    assert scores["protocol"].startswith("crop-none_0.001-60m")
    assert scores["samples"] == 2
    with pytest.raises(LightDepthError, match=r"None of 4 training pairs has a reading under max_depth_m, 0\.5 m"):
        train(settings(tum_copy, "max_depth_m=0.5"), tmp_path / "near")


def test_a_validation_that_fails_leaves_the_epochs_weights(tum_copy, tmp_path):
    pairs = load_pairs(tum_copy, "train"), load_pairs(tum_copy, "test")
    pairs[1].pairs[1].color_path.write_bytes(b"damaged")
    with pytest.raises(LightDepthError, match="can't be"):
        train(settings(tum_copy), tmp_path / "run", pairs=pairs)
    checkpoint = load_checkpoint(tmp_path / "run" / "last.safetensors")
    assert checkpoint.spec.scores == {}
    assert checkpoint.spec.input_width == 96


def interrupt_after_log(monkeypatch, epoch):
    """Let a run end between an epoch's curves and its state."""
    original = train_module.draw_validation
    calls = []

    def draw(*arguments):
        calls.append(1)
        if len(calls) == epoch:
            raise KeyboardInterrupt
        return original(*arguments)

    monkeypatch.setattr(train_module, "draw_validation", draw)


def test_an_epoch_trained_again_is_drawn_once(tum, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        interrupt_after_log(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(settings(tum), tmp_path / "run")
    train(settings(tum), tmp_path / "run", resume=True)
    curves = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert [event.step for event in curves.Scalars("loss")] == [1, 2]


def started(data, tmp_path, monkeypatch, *overrides):
    """Train one epoch of two."""
    with monkeypatch.context() as patch:
        interrupt_after_log(patch, 2)
        with pytest.raises(KeyboardInterrupt):
            train(settings(data, *overrides), tmp_path / "run")
    return tmp_path / "run"


@pytest.mark.slow
@pytest.mark.parametrize("paths", ["relative", "absolute"])
def test_a_run_resumes_with_the_same_pairs_at_another_place(tum_copy, tmp_path, monkeypatch, paths):
    if paths == "absolute":
        for name in ("train.txt", "test.txt"):
            pairs = load_pairs(tum_copy, name.removesuffix(".txt")).pairs
            (tum_copy / name).write_text("".join(f"{pair.color_path} {pair.depth_path}\n" for pair in pairs))
    weights = tmp_path / "first.safetensors"
    shutil.copy(train(settings(tum_copy, "epochs=1"), tmp_path / "first").last, weights)
    start = f"start_from={weights}"
    whole = train(settings(tum_copy, start), tmp_path / "whole")
    run = started(tum_copy, tmp_path, monkeypatch, start)
    moved = tum_copy.rename(tmp_path / "elsewhere")
    for name in ("train.txt", "test.txt"):
        (moved / name).write_text((moved / name).read_text().replace(str(tum_copy), str(moved)))
    weights.unlink()
    with pytest.raises(LightDepthError, match=r"No data at .*tum\. .*--resume --data PATH"):
        train(settings(tum_copy, start), run, resume=True)
    resumed = train(settings(moved, start), run, resume=True)
    expected = load_file(whole.last)
    assert all(torch.equal(tensor, expected[key]) for key, tensor in load_file(resumed.last).items())
    assert load_config(resumed.config_path).data_root == str(moved)  # the next --resume needs no --data


def test_other_pairs_at_another_place_are_refused(tum_copy, tmp_path, monkeypatch):
    run = started(tum_copy, tmp_path, monkeypatch)
    other = shutil.copytree(tum_copy, tmp_path / "other")
    lines = (other / "train.txt").read_text().splitlines()
    (other / "train.txt").write_text("\n".join(lines[:-1]))
    with pytest.raises(LightDepthError, match="The training pairs are not those this run began with"):
        train(settings(other), run, resume=True)
    assert load_config(run / "config.yaml").data_root == str(tum_copy)
    record = json.loads((run / "run.json").read_text())
    assert record["training"]["pairs"] == len([line for line in lines if line and not line.startswith("#")])


def test_a_gpu_that_is_too_small_for_the_batch_is_one_sentence_with_the_settings(tum, tmp_path, monkeypatch):
    def too_much(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of")

    monkeypatch.setattr(train_module.Stepper, "train_epoch", too_much)
    words = r"too small for batch_size 2 at \d+x\d+ \(CUDA out of memory\); take a smaller batch_size"
    with pytest.raises(LightDepthError, match=words):
        train(settings(tum, "batch_size=2"), tmp_path / "run")
