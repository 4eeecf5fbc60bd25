import cv2
import numpy as np
import pytest

from lightdepth.data.split import split_pairs
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs, scenes_of


def test_validation_holds_out_whole_scenes_chosen_by_the_seed(tmp_path):
    lines = []
    for scene in range(10):
        for number in range(3):
            cv2.imwrite(str(tmp_path / "d.png"), np.ones((4, 4), np.uint16))
            (tmp_path / f"s{scene}").mkdir(exist_ok=True)
            cv2.imwrite(str(tmp_path / f"s{scene}" / f"{number}.png"), np.zeros((4, 4, 3), np.uint8))
            lines.append(f"s{scene}/{number}.png d.png")
    (tmp_path / "train.txt").write_text("\n".join(lines))
    pairs = load_pairs(tmp_path, "train")
    training, validation = split_pairs(pairs, 0.2, seed=0)
    assert (training.split, validation.split) == ("train", "validation")
    assert not set(scenes_of(training)) & set(scenes_of(validation))
    assert (len(training), len(validation)) == (24, 6)
    assert [p.name for p in split_pairs(pairs, 0.2, seed=0)[1].pairs] == [p.name for p in validation.pairs]
    others = {tuple(scenes_of(split_pairs(pairs, 0.2, seed=seed)[1])) for seed in range(5)}
    assert len(others) > 1


def test_many_short_scenes_lose_a_whole_one_and_not_a_frame_of_each(tmp_path):
    cv2.imwrite(str(tmp_path / "d.png"), np.ones((4, 4), np.uint16))
    for scene in range(10):
        (tmp_path / f"s{scene}").mkdir()
        cv2.imwrite(str(tmp_path / f"s{scene}" / "c.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "train.txt").write_text("".join(f"s{scene}/c.png d.png\n" * 3 for scene in range(10)))
    validation = split_pairs(load_pairs(tmp_path, "train"), 0.01, seed=0)[1]
    assert (len(validation), len(scenes_of(validation))) == (3, 1)


def test_a_small_share_still_holds_out_one_scene_and_a_large_one_leaves_one(tum):
    pairs = load_pairs(tum, "train")
    for share in (0.01, 0.99):
        training, validation = split_pairs(pairs, share, seed=0)
        assert len(training) > 0
        assert len(validation) > 0


@pytest.fixture
def one_scene(tmp_path):
    """A recording of 60 frames."""
    (tmp_path / "scene").mkdir()
    cv2.imwrite(str(tmp_path / "d.png"), np.ones((4, 4), np.uint16))
    cv2.imwrite(str(tmp_path / "scene" / "c.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "train.txt").write_text("scene/c.png d.png\n" * 60)
    return load_pairs(tmp_path, "train")


def test_one_scene_holds_out_a_block_with_a_gap_on_both_sides(one_scene):
    for seed in range(5):
        training, validation = split_pairs(one_scene, 0.1, seed)
        indices = {id(pair): i for i, pair in enumerate(one_scene.pairs)}
        held = [indices[id(pair)] for pair in validation.pairs]
        kept = [indices[id(pair)] for pair in training.pairs]
        assert held == list(range(held[0], held[0] + 6))
        assert min(abs(i - j) for i in held for j in kept) == 4, "three frames are in neither"
    assert validation.notes[0].startswith("Validation: 6 of 60 pairs (10.0%), frames ")


def test_two_long_scenes_are_both_trained_on_and_both_validated_on(one_scene, tmp_path):
    (tmp_path / "other").mkdir()
    cv2.imwrite(str(tmp_path / "other" / "c.png"), np.zeros((4, 4, 3), np.uint8))
    (tmp_path / "train.txt").write_text("scene/c.png d.png\n" * 60 + "other/c.png d.png\n" * 40)
    training, validation = split_pairs(load_pairs(tmp_path, "train"), 0.1, seed=0)
    assert scenes_of(training) == scenes_of(validation) == ["scene", "other"]
    assert len(validation) == 6 + 4
    assert len(training) >= 100 - (6 + 2 * 3) - (4 + 2 * 2)
    assert "a block of frames of each of 2 scenes" in validation.notes[0]


@pytest.mark.parametrize("count", [3, 4, 7])
def test_a_short_scene_still_trains_and_validates(one_scene, count):
    for share in (0.01, 0.99):
        training, validation = split_pairs(one_scene.subset(range(count), "train"), share, seed=0)
        assert len(training) > 0
        assert len(validation) > 0


def test_two_pairs_of_one_scene_are_refused(one_scene):
    with pytest.raises(LightDepthError, match=r"has 2 training pairs, too few .* --val-data"):
        split_pairs(one_scene.subset([0, 1], "train"), 0.1, seed=0)
