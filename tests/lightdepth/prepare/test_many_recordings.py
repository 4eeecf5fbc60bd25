"""Several recordings in one call: workers write what one writes, and what is whole stays."""

import pytest

from lightdepth.prepare.bags.scene import Extraction
from lightdepth.prepare.from_bag import extract_recordings
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs

SETTINGS = Extraction("/camera/color/image_raw", "/camera/depth/image_raw")
NAMES = ("kitchen", "hall [1]", "attic")


@pytest.fixture
def bags(write_bag, tmp_path):
    return [write_bag(tmp_path / "bags" / name) for name in NAMES]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_workers_write_what_one_recording_after_another_does(bags, tmp_path):
    for bag in bags:
        extract_recordings([bag], SETTINGS, tmp_path / "each")
    said = {}
    for workers in (1, 2):
        said[workers] = []
        options = {"workers": workers, "say": said[workers].append}
        assert extract_recordings(bags, SETTINGS, tmp_path / str(workers), **options) == 18
    assert files(tmp_path / "1") == files(tmp_path / "2") == files(tmp_path / "each")
    assert said[1] == said[2] == [f"{name}: 6 pairs of 6 colour and 6 depth images" for name in NAMES]


def test_recordings_that_are_in_the_list_are_kept(bags, tmp_path):
    extract_recordings(bags[:2], SETTINGS, tmp_path / "out")
    before, said = files(tmp_path / "out"), []
    assert extract_recordings(bags, SETTINGS, tmp_path / "out", say=said.append) == 6
    assert said[0] == "Kept from an earlier call: kitchen, hall [1]"
    after = files(tmp_path / "out")
    assert after["train.txt"].startswith(before.pop("train.txt"))
    assert before.items() <= after.items()


def test_a_recording_without_a_camera_is_not_given_that_of_the_one_before(write_bag, bags, tmp_path):
    silent = write_bag(tmp_path / "silent", topics=("color", "depth"))
    extract_recordings([bags[0], silent, bags[1]], SETTINGS, tmp_path / "out")
    pairs = load_pairs(tmp_path / "out", "train").pairs
    assert [pair.intrinsics is None for pair in pairs] == [False] * 6 + [True] * 6 + [False] * 6


def test_a_recording_that_cant_be_used_does_not_keep_the_others_from_it(bags, tmp_path):
    broken = tmp_path / "broken.bag"
    broken.write_bytes(b"no recording")
    with pytest.raises(LightDepthError, match=r"1 of 4 recordings can't be used, .*broken\.bag"):
        extract_recordings([broken, *bags], SETTINGS, tmp_path / "out", workers=2)
    assert {
        line.split("/")[0].strip('"') for line in (tmp_path / "out" / "train.txt").read_text().splitlines()[2:]
    } == {*NAMES}


def test_recordings_of_one_name_are_refused_before_anything_is_written(write_bag, bags, tmp_path):
    with pytest.raises(LightDepthError, match="would both be kitchen; rename one"):
        extract_recordings([bags[0], write_bag(tmp_path / "kitchen")], SETTINGS, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("workers", [1, 2])
def test_after_an_interrupt_the_list_has_what_was_whole_and_a_repeated_call_the_rest(bags, tmp_path, workers):
    def stop_after_one(scenes, _label, _total):
        yield next(iter(scenes))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        extract_recordings(bags, SETTINGS, tmp_path / "out", workers=workers, progress=stop_after_one)
    listed = (tmp_path / "out" / "train.txt").read_text()
    folders = [path.name for path in (tmp_path / "out").iterdir() if path.is_dir()]
    assert "kitchen" in folders
    assert all(f"{name}/" in listed for name in folders)  # and none is hidden
    extract_recordings(bags, SETTINGS, tmp_path / "out", workers=workers)
    extract_recordings(bags, SETTINGS, tmp_path / "whole")
    interrupted, whole = files(tmp_path / "out"), files(tmp_path / "whole")
    assert sorted(interrupted.pop("train.txt").splitlines()) == sorted(whole.pop("train.txt").splitlines())
    assert interrupted == whole
