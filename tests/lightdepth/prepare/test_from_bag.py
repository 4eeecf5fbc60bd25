"""Recordings as training data: every pair as recorded, nothing where something is wrong."""

import numpy as np
import pytest

from lightdepth.config import load_config
from lightdepth.prepare.bags import pair_writer
from lightdepth.prepare.bags.scene import Extraction
from lightdepth.prepare.from_bag import extract_recordings
from lightdepth.training.inputs import load_training_data
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.folders.matching import match_stamps
from lightdepth_runtime.spec import Intrinsics

COLOR, DEPTH = "/camera/color/image_raw", "/camera/depth/image_raw"


def extract_pairs(bag, color, depth, output, say=lambda _: None, **options):
    return extract_recordings([bag], Extraction(color, depth, **options), output, say=say)


@pytest.mark.parametrize("storage", ["mcap", "ros1"])
@pytest.mark.parametrize("depth_encoding", ["16UC1", "32FC1"])
def test_pairs_of_a_recording_are_those_that_were_recorded(write_bag, tum, tmp_path, storage, depth_encoding):
    bag = write_bag(
        tmp_path / ("kitchen.bag" if storage == "ros1" else "kitchen"), storage, depth_encoding=depth_encoding
    )
    assert extract_pairs(bag, COLOR, DEPTH, tmp_path / "out") == 6
    found = load_pairs(tmp_path / "out", "train")
    recorded = [*load_pairs(tum, "train").pairs, *load_pairs(tum, "test").pairs]
    assert {pair.scene for pair in found.pairs} == {"kitchen"}
    assert found.intrinsics == Intrinsics(129.3, 129.2, 79.5, 59.5, 160, 120)
    for pair, original in zip(found.pairs, recorded, strict=True):
        frame, expected = pair.read(), original.read()
        np.testing.assert_array_equal(frame.image, expected.image)
        np.testing.assert_array_equal(frame.depth_m, expected.depth_m)


def test_a_recorded_jpeg_is_kept_byte_for_byte(write_bag, tum, tmp_path):
    bag = write_bag(tmp_path / "jpeg", encoding="jpeg")
    extract_pairs(bag, f"{COLOR}/compressed", DEPTH, tmp_path / "out")
    pair = load_pairs(tmp_path / "out", "train").pairs[0]
    assert pair.color_path.read_bytes() == load_pairs(tum, "train").pairs[0].color_path.read_bytes()


def test_each_recording_is_a_scene_and_train_holds_frames_of_both_out(write_bag, tmp_path):
    for name in ("kitchen", "two rooms"):
        extract_pairs(write_bag(tmp_path / name), COLOR, DEPTH, tmp_path / "out")
    training, validation = load_training_data(load_config(None, [], {"data_root": str(tmp_path / "out")}))
    assert (len(training), len(validation)) == (10, 2)
    assert {pair.scene for pair in training.pairs} == {pair.scene for pair in validation.pairs}
    assert training.intrinsics.fx == 129.3
    assert {pair.depth_unit for pair in training.pairs} == {"millimetres"}
    assert (tmp_path / "out" / "train.txt").read_text().count("# depth:") == 1
    with pytest.raises(LightDepthError, match="kitchen exists already"):
        extract_pairs(tmp_path / "kitchen", COLOR, DEPTH, tmp_path / "out")


def test_a_recording_of_another_camera_brings_its_own_line(write_bag, tmp_path):
    output = tmp_path / "out"
    extract_pairs(write_bag(tmp_path / "kitchen"), COLOR, DEPTH, output)
    text = (output / "train.txt").read_text().replace("129.3", "150.0", 1)
    (output / "train.txt").write_text(text)
    extract_pairs(write_bag(tmp_path / "hall"), COLOR, DEPTH, output)
    focal = {pair.scene: pair.intrinsics.fx for pair in load_pairs(output, "train").pairs}
    assert focal == {"kitchen": 150.0, "hall": 129.3}


def test_stamps_farther_apart_than_the_gap_make_no_pair(write_bag, tmp_path):
    bag = write_bag(tmp_path / "kitchen")  # depth comes 2 ms after colour
    with pytest.raises(LightDepthError, match=r"within 0\.001 s of each other; give a larger --max-gap"):
        extract_pairs(bag, COLOR, DEPTH, tmp_path / "out", max_gap_s=0.001)
    assert not (tmp_path / "out").exists()


def test_depth_of_another_size_is_refused_and_nothing_is_written(write_bag, tmp_path, monkeypatch):
    bag = write_bag(tmp_path / "kitchen")
    real = pair_writer.decode_depth
    monkeypatch.setattr(pair_writer, "decode_depth", lambda *arguments, **options: real(*arguments, **options)[:60])
    with pytest.raises(LightDepthError, match="depth is 160x60 but its image is 160x120; depth must be registered"):
        extract_pairs(bag, COLOR, DEPTH, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("share", [0, 0.5])
def test_a_truncated_recording_writes_nothing(write_bag, tmp_path, share):
    bag = write_bag(tmp_path / "kitchen.bag", "ros1")
    bag.write_bytes(bag.read_bytes()[: int(bag.stat().st_size * share)])
    with pytest.raises(LightDepthError, match=r"is empty \(0 bytes\)|was cut off"):
        extract_pairs(bag, COLOR, DEPTH, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_missing_topic_is_named_with_those_there_are(write_bag, tmp_path):
    bag = write_bag(tmp_path / "kitchen")
    with pytest.raises(LightDepthError, match=rf"no image topic '/depth'; it has {COLOR} \(6\), {DEPTH} \(6\)"):
        extract_pairs(bag, COLOR, "/depth", tmp_path / "out")
    with pytest.raises(LightDepthError, match="name two topics"):
        extract_pairs(bag, COLOR, COLOR, tmp_path / "out")


def test_stamps_match_the_nearest_and_each_depth_once():
    assert match_stamps([0, 10, 20], [1, 9, 31], max_gap_ns=5) == [(0, 0), (1, 1)]
    assert match_stamps([0, 4], [3], max_gap_ns=5) == [(1, 0)]  # the nearer of two takes it
    assert match_stamps([10, 0], [0, 10], max_gap_ns=0) == [(0, 1), (1, 0)]  # recorded out of order
    assert match_stamps([], [1], max_gap_ns=5) == []
