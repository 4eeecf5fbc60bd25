import shutil
from dataclasses import replace

import numpy as np
import pytest

from lightdepth.config import ExtraData, check_config, load_config
from lightdepth.data.extra import add_extra_data, weights_of
from lightdepth.data.order import EpochSampler
from lightdepth.training.inputs import load_training_data
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import Intrinsics


@pytest.fixture
def long_lens(tum, tmp_path):
    """The same pairs, said to be of a camera with twice the focal length."""
    folder = shutil.copytree(tum, tmp_path / "long")
    camera = load_pairs(tum, "train").intrinsics or Intrinsics(129.3, 129.2, 79.5, 59.5, 160, 120)
    numbers = f"{2 * camera.fx} {2 * camera.fy} {camera.cx} {camera.cy} {camera.width} {camera.height}"
    for split in ("train", "test"):
        lines = [line for line in (folder / f"{split}.txt").read_text().splitlines() if not line.startswith("#")]
        (folder / f"{split}.txt").write_text("\n".join([f"# intrinsics: {numbers}", *lines]) + "\n")
    return folder, camera


def test_a_set_with_twice_the_focal_length_is_brought_to_half_its_depth(tum, long_lens):
    folder, camera = long_lens
    main = load_pairs(tum, "train")
    extra = [ExtraData(path=str(folder))]
    together = add_extra_data(main, extra, camera, canonical_focal=True)
    assert len(together) == 2 * len(main)
    own, other = main.pairs[1].read(), together.pairs[len(main) + 1].read()
    np.testing.assert_array_equal(other.image, own.image)
    np.testing.assert_allclose(other.depth_m, own.depth_m / 2, rtol=1e-5)
    as_it_is = add_extra_data(main, extra, None, canonical_focal=False)
    np.testing.assert_array_equal(as_it_is.pairs[len(main) + 1].read().depth_m, own.depth_m)


def test_a_set_without_a_camera_is_named_where_one_is_needed(tum, long_lens):
    main = load_pairs(tum, "train")
    with pytest.raises(LightDepthError, match=r"main data set doesn't tell its camera.*canonical_focal to false"):
        add_extra_data(main, [ExtraData(path=str(long_lens[0]))], None, canonical_focal=True)


def test_weights_say_how_often_a_pair_is_seen_in_a_pass():
    sampler = EpochSampler([1.0] * 10 + [0.5] * 8 + [2.25] * 4, seed=1, passes=20)
    assert len(sampler) == 20 * (10 + 4 + 9)
    keys = list(sampler)
    assert len(keys) == len(sampler)
    for number in range(20):
        counts = np.bincount([index for n, index in keys if n == number], minlength=22)
        assert (counts[:10] == 1).all()
        assert sorted(counts[10:18]) == [0] * 4 + [1] * 4
        assert sorted(counts[18:]) == [2, 2, 2, 3]
    assert (np.bincount([index for _, index in keys], minlength=22)[10:18] > 3).all()  # others each pass


def test_the_config_adds_sets_and_the_model_says_so(tum, long_lens):
    folder, camera = long_lens
    numbers = [camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height]
    config = load_config(
        None,
        [
            f"data_root={tum}",
            f"val_data={tum}",
            f"extra_data=[{{path: {folder}, weight: 0.5}}]",
            f"intrinsics={numbers}",
        ],
    )
    training, _ = load_training_data(config)
    assert weights_of(training.pairs) == [1.0] * 4 + [0.5] * 4
    assert weights_of(replace(training, pairs=training.pairs[:4]).pairs) == [1.0] * 4


def test_cameras_that_change_within_a_list_are_brought_to_the_commonest(tum_copy):
    rows = [row for row in (tum_copy / "train.txt").read_text().splitlines() if not row.startswith("#")]
    wide, long = "# intrinsics: 100 100 79.5 59.5 160 120", "# intrinsics: 250 250 79.5 59.5 160 120"
    (tum_copy / "own.txt").write_text("\n".join([wide, *rows[:3], long, *rows[3:]]))
    settings = {"data_root": str(tum_copy / "own.txt"), "val_fraction": 0}
    training, _ = load_training_data(load_config(None, [], settings))
    stored = load_pairs(tum_copy / "own.txt", "train").pairs
    factors = [a.read().depth_m.max() / b.read().depth_m.max() for a, b in zip(training.pairs, stored, strict=True)]
    np.testing.assert_allclose(factors, [1, 1, 1, 0.4], rtol=1e-5)
    assert training.intrinsics.fx == 100
    assert any("2 cameras" in note for note in training.notes)


@pytest.mark.parametrize(("canonical", "factor"), [(True, 0.4), (False, 1)])
def test_validation_pairs_are_brought_to_the_training_camera(tum_copy, canonical, factor):
    rows = [row for row in (tum_copy / "train.txt").read_text().splitlines() if not row.startswith("#")]
    for name, focal_px in (("wide", 100), ("long", 250)):
        camera = f"# intrinsics: {focal_px} {focal_px} 79.5 59.5 160 120"
        (tum_copy / f"{name}.txt").write_text("\n".join([camera, *rows]))
    settings = {"data_root": str(tum_copy / "wide.txt"), "val_data": str(tum_copy / "long.txt")}
    _, validation = load_training_data(load_config(None, [], {**settings, "canonical_focal": canonical}))
    stored = load_pairs(tum_copy / "long.txt", "test").pairs
    factors = [a.read().depth_m.max() / b.read().depth_m.max() for a, b in zip(validation.pairs, stored, strict=True)]
    np.testing.assert_allclose(factors, factor, rtol=1e-5)
    assert any("training camera" in note for note in validation.notes) == canonical


def test_a_misspelt_key_of_a_set_is_named():
    with pytest.raises(LightDepthError, match=r"extra_data\.0\.wieght"):
        check_config({"extra_data": [{"path": "x", "wieght": 2}]})
