import shutil

import numpy as np
import pytest
from typer.testing import CliRunner

from lightdepth.cli.data import data_app
from lightdepth.prepare import pack as data_pack
from lightdepth.prepare.pack import pack_data
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs


@pytest.fixture
def packagings(tum, tmp_path, write_kaggle, write_mat):
    return {"list": tum, "kaggle": write_kaggle(tmp_path / "k"), "mat": write_mat(tmp_path / "m")}


@pytest.mark.parametrize("packaging", ["list", "kaggle", "mat"])
def test_packed_pairs_are_the_same_to_the_bit(packagings, packaging, tmp_path):
    root = packagings[packaging]
    packed = pack_data(root, tmp_path / "packed")
    assert (packed.pairs, packed.shards, packed.kept_shards) == (6, 2, 0)
    for split in ("train", "test"):
        plain, fast = load_pairs(root, split), load_pairs(tmp_path / "packed", split)
        assert fast.intrinsics == plain.intrinsics
        assert [(p.name, p.scene) for p in fast.pairs] == [(p.name, p.scene) for p in plain.pairs]
        for one, other in zip(plain.pairs, fast.pairs, strict=True):
            a, b = one.read(), other.read()
            assert np.array_equal(a.image, b.image)
            assert np.array_equal(a.depth_m, b.depth_m)
            assert (b.image.dtype, b.depth_m.dtype) == (np.uint8, np.float32)


def test_packing_goes_on_where_it_was_interrupted(tum, tmp_path, monkeypatch):
    monkeypatch.setattr(data_pack, "PAIRS_PER_SHARD", 2)

    def stop(shards, _label, _total):
        yield next(iter(shards))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack_data(tum, tmp_path / "packed", progress=stop)
    assert sorted(path.name for path in (tmp_path / "packed").iterdir()) == ["train-00000.bin", "train-00000.json"]
    packed = pack_data(tum, tmp_path / "packed")
    assert (packed.shards, packed.kept_shards) == (3, 1)
    assert len(load_pairs(tmp_path / "packed", "train")) == 4


def test_a_damaged_shard_is_written_again_and_a_short_one_refused(tum, tmp_path):
    output = tmp_path / "packed"
    pack_data(tum, output)
    shard = output / "train-00000.bin"
    content = bytearray(shard.read_bytes())
    content[1000] ^= 1
    shard.write_bytes(bytes(content))
    assert pack_data(tum, output).kept_shards == 1
    shard.write_bytes(bytes(content[:-1]))
    with pytest.raises(LightDepthError, match=r"instead of .*run `lightdepth data pack` again"):
        load_pairs(output, "train")


def test_depth_in_floats_is_packed_as_metres(tum, tmp_path):
    source = load_pairs(tum, "train").pairs[0]
    depth_m = source.read().depth_m
    (tmp_path / "own" / "color").mkdir(parents=True)
    (tmp_path / "own" / "depth").mkdir()
    for number in range(2):
        shutil.copy(source.color_path, tmp_path / "own" / "color" / f"{number}.jpg")
        np.save(tmp_path / "own" / "depth" / f"{number}.npy", depth_m)
    pack_data(tmp_path / "own", tmp_path / "packed")
    packed = load_pairs(tmp_path / "packed", "train").pairs[0].read()
    np.testing.assert_array_equal(packed.depth_m, depth_m)


def test_changed_source_files_are_packed_again(tum_copy, tmp_path):
    pack_data(tum_copy, tmp_path / "packed")
    pairs = load_pairs(tum_copy, "train").pairs
    pairs[0].color_path.write_bytes(pairs[1].color_path.read_bytes())
    assert pack_data(tum_copy, tmp_path / "packed").kept_shards == 1


def test_what_cannot_be_packed_is_one_sentence(tmp_path, tum_copy):
    (tmp_path / "empty").mkdir()
    with pytest.raises(LightDepthError, match=r"No train pairs in .* It holds nothing"):
        pack_data(tmp_path / "empty", tmp_path / "packed")
    pair = load_pairs(tum_copy, "test").pairs[0]
    pair.depth_path.write_bytes(b"")
    with pytest.raises(LightDepthError, match="is empty"):
        pack_data(tum_copy, tmp_path / "packed")
    with pytest.raises(LightDepthError, match="No train pairs in"):
        load_pairs(tmp_path / "packed", "train")  # no index without every split


def test_the_command_says_what_it_wrote(tum, tmp_path):
    result = CliRunner().invoke(data_app, ["pack", str(tum), "-o", str(tmp_path / "packed")])
    assert result.exit_code == 0
    assert "6 pairs in 2 shards" in result.output
