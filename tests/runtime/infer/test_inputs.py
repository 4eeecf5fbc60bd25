"""Which images are found, and what their outputs are called."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.infer.inputs import distinct_stems, plan_jobs


@pytest.fixture
def folder(tmp_path):
    """Empty files: planning reads names alone."""

    def make(*names):
        for name in names:
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        return tmp_path

    return make


def stems(jobs):
    return [job.stem for job in jobs]


def test_folders_are_searched_through_in_natural_order(folder):
    root = folder("f10.jpg", "f2.PNG", "f1.jpeg", "sub/f3.webp", "notes.txt")
    assert stems(plan_jobs([root])) == ["f1", "f2", "f10", "f3"]


def test_hidden_files_depth_maps_and_the_output_folder_are_left_out(folder):
    root = folder("a.jpg", "._a.jpg", ".cache/b.jpg", "a_depth.png", "a_depth_mm.png", "output/old.png")
    assert stems(plan_jobs([root], root / "output")) == ["a"]


def test_a_depth_map_that_is_named_itself_is_taken(folder):
    root = folder("a_depth.png")
    assert stems(plan_jobs([root / "a_depth.png"])) == ["a_depth"]


def test_images_of_one_folder_with_equal_stems_get_their_suffix(folder):
    root = folder("a.jpg", "a.png", "b.jpg")
    assert stems(plan_jobs([root])) == ["a-jpg", "a-png", "b"]


def test_images_of_several_folders_with_equal_stems_get_their_folders(folder):
    root = folder("left/day/a.jpg", "right/day/a.jpg", "right/c.jpg")
    assert stems(plan_jobs([root])) == ["left-day-a", "c", "right-day-a"]


def test_a_name_made_longer_does_not_meet_another_files(folder):
    root = folder("left/a.jpg", "right/a.jpg", "other/left-a.jpg")
    names = stems(plan_jobs([root]))
    assert len({name.lower() for name in names}) == 3


def test_an_image_given_twice_counts_once(folder):
    root = folder("a.jpg")
    assert stems(plan_jobs([root, root / "a.jpg", root / "." / "a.jpg"])) == ["a"]


def test_a_link_keeps_its_own_name(folder):
    root = folder("store/8f3a.jpg")
    (root / "kitchen.jpg").symlink_to(root / "store/8f3a.jpg")
    assert stems(plan_jobs([root / "kitchen.jpg"])) == ["kitchen"]


@given(
    st.lists(st.tuples(*[st.sampled_from(["a", "A", "a-b", "b"])] * 3, st.sampled_from([".jpg", ".png"])), unique=True)
)
def test_names_never_collide_even_without_regard_to_case(parts):
    paths = [Path("/", first, second, stem + suffix) for first, second, stem, suffix in parts]
    names = distinct_stems(paths)
    assert len({name.lower() for name in names}) == len(paths)


def test_missing_input_empty_folder_and_no_input_are_one_sentence(folder, tmp_path):
    root = folder("notes.txt", "old_depth.png")
    with pytest.raises(LightDepthError, match=r"No image or folder at .*nowhere"):
        plan_jobs([tmp_path / "nowhere"])
    with pytest.raises(LightDepthError, match=r"has no images: 1 left out: 1 \.txt"):
        plan_jobs([root])
    with pytest.raises(LightDepthError, match="nothing to infer"):
        plan_jobs([])


def test_images_at_an_address_are_to_be_fetched():
    with pytest.raises(LightDepthError, match="images at an address are to be fetched first"):
        plan_jobs([Path("s3://bucket/images")])
