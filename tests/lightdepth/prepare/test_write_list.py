import shutil

import cv2
import numpy as np
import pytest

from lightdepth.prepare.pack import pack_data
from lightdepth.prepare.write_list import write_pair_list
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit


@pytest.fixture
def sequence(tmp_path):
    """A TUM sequence of two frames, 1 m and 2 m away."""
    folder = tmp_path / "freiburg3_two words"
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
        (folder / f"{kind}.txt").write_text("\n".join(f"{n}.0 {kind}/{n}.png" for n in (1, 2)))
    for number in (1, 2):
        image = np.random.default_rng(number).integers(0, 255, (24, 32, 3), np.uint8)
        cv2.imwrite(str(folder / "rgb" / f"{number}.png"), image)
        cv2.imwrite(str(folder / "depth" / f"{number}.png"), np.full((24, 32), 5000 * number, np.uint16))
    return folder


def described(pairs):
    return [(float(pair.read().depth_m.max()), pair.depth_unit, pair.intrinsics.fx) for pair in pairs.pairs]


EXPECTED = [(1.0, "tum", 535.4), (2.0, "tum", 535.4)]


def test_a_written_list_gives_the_pairs_of_the_folder(sequence, tmp_path):
    (tmp_path / "lists").mkdir()
    write_pair_list(sequence, tmp_path / "lists" / "own.txt", "train")
    assert described(load_pairs(tmp_path / "lists" / "own.txt", "train")) == EXPECTED


def test_joined_lists_keep_the_camera_and_the_unit_of_each(sequence, tmp_path):
    unknown = tmp_path / "room"
    for kind in ("color", "depth"):
        shutil.copytree(sequence / kind.replace("color", "rgb"), unknown / kind)
    for folder, name in ((sequence, "a"), (unknown, "b")):
        write_pair_list(folder, tmp_path / name, "train")
    (tmp_path / "joined.txt").write_text((tmp_path / "a").read_text() + (tmp_path / "b").read_text())
    pairs = load_pairs(tmp_path / "joined.txt", "train").pairs
    assert [(pair.depth_unit, pair.intrinsics is None) for pair in pairs] == [("tum", False)] * 2 + [(None, True)] * 2


def test_a_packed_folder_keeps_units_and_cameras(sequence, tmp_path):
    pack_data(sequence, tmp_path / "packed")
    packed = load_pairs(tmp_path / "packed", "train")
    assert described(packed) == EXPECTED
    assert packed.split == "all"
    assert packed.packaging == "packed TUM sequences"


def test_packing_anew_in_another_unit_writes_anew(sequence, tmp_path):
    pack_data(sequence, tmp_path / "packed")
    again = pack_data(sequence, tmp_path / "packed", unit=parse_depth_unit("1000"))
    assert again.kept_shards == 0
    assert described(load_pairs(tmp_path / "packed", "train"))[0][:2] == (5.0, "1000")
    with pytest.raises(LightDepthError, match="packed data has the wrong unit, pack it again"):
        load_pairs(tmp_path / "packed", "train", unit=parse_depth_unit("tum"))
