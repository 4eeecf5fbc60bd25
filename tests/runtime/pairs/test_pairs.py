import struct
import zlib

import cv2
import h5py
import numpy as np
import pytest
from scipy.io import savemat

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs, scenes_of
from lightdepth_runtime.pairs.depth_file import read_depth_values


def frames(folder, split):
    return [pair.read() for pair in load_pairs(folder, split).pairs]


def fails_with(words, folder, split="train"):
    with pytest.raises(LightDepthError, match=words) as caught:
        load_pairs(folder, split)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Pair list


def test_a_pair_list_gives_metres_with_holes_as_zero(tum):
    for frame in frames(tum, "train"):
        assert frame.image.shape == (120, 160, 3)
        assert frame.image.dtype == np.uint8
        assert frame.depth_m.dtype == np.float32
        assert (frame.depth_m == 0).any()
        assert 0.5 < np.median(frame.depth_m[frame.depth_m > 0]) < 5


def test_relative_absolute_quoted_and_commented_lines_are_the_same_pairs(tum_copy, tum):
    spaced = tum_copy / "two words"
    (tum_copy / "freiburg1_rpy").rename(spaced)
    name = "1305031232.861666"
    lines = [
        "# a comment",
        "",
        f"{tum_copy}/freiburg3_cabinet/0000_rgb.jpg freiburg3_cabinet/0000_depth.png  # absolute and relative",
        f"\"two words/{name}_rgb.jpg\" 'two words/{name}_depth.png'",
        f'"{spaced}/{name}_rgb.jpg"\t"{spaced}/{name}_depth.png"',
    ]
    (tum_copy / "mine.txt").write_text("\ufeff" + "\n".join(lines))
    pairs = load_pairs(tum_copy / "mine.txt", "anything")
    assert len(pairs) == 3
    got = [pair.read().depth_m for pair in pairs.pairs]
    expected = [frame.depth_m for frame in frames(tum, "train")]
    for depth_m, other in zip(got, (expected[0], expected[3], expected[3]), strict=True):
        np.testing.assert_array_equal(depth_m, other)


def test_a_folder_with_one_list_has_no_other_split(tum_copy):
    """The pictures beside `train.txt` are its own pairs: scored as a test set they would flatter any network."""
    (tum_copy / "test.txt").unlink()
    assert len(load_pairs(tum_copy, "train"))
    fails_with("No test pairs", tum_copy, "test")


def test_the_scene_is_the_colour_files_whole_folder(tum_copy):
    for room in ("kitchen", "office"):
        (tum_copy / room / "rgb").mkdir(parents=True)
        (tum_copy / room / "rgb" / "0.jpg").write_bytes((tum_copy / "freiburg3_cabinet" / "0000_rgb.jpg").read_bytes())
    depth = "freiburg3_cabinet/0000_depth.png"
    (tum_copy / "train.txt").write_text(f"kitchen/rgb/0.jpg {depth}\noffice/rgb/0.jpg {depth}\n")
    assert scenes_of(load_pairs(tum_copy, "train")) == ["kitchen/rgb", "office/rgb"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "lists no pairs"),
        ("# only this\n", "lists no pairs"),
        ("a.jpg\n", "line 1: expected `colour depth`, got 1 word"),
        ("\na.jpg b.png c.png\n", "line 2: expected `colour depth`, got 3 words"),
        ('"a b.jpg c.png\n', "line 1: .* closing quotation mark"),
        ("a.jpg a.png\nb.jpg b.png\n", r"a.jpg, which doesn't exist \(and 3 more of 4 files\)"),
    ],
)
def test_a_faulty_pair_list_is_one_sentence(tmp_path, text, words):
    (tmp_path / "train.txt").write_text(text)
    fails_with(words, tmp_path)


def test_a_list_that_is_not_text_is_refused(tmp_path):
    (tmp_path / "train.txt").write_bytes(b"\xff\xfe\x00\x80")
    fails_with("as a text list of pairs", tmp_path)


def test_an_eight_bit_depth_png_in_a_pair_list_is_refused(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0000_depth.png"
    cv2.imwrite(str(path), np.full((120, 160), 200, np.uint8))
    with pytest.raises(LightDepthError, match="8 bits a pixel"):
        load_pairs(tum_copy, "train").pairs[0].read()


def test_depth_of_another_size_than_its_image_is_refused(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0000_depth.png"
    cv2.imwrite(str(path), np.full((60, 90), 900, np.uint16))
    with pytest.raises(LightDepthError, match=r"0000_depth.png: depth is 90x60 but its image is 160x120"):
        load_pairs(tum_copy, "train").pairs[0].read()


def test_a_truncated_jpeg_is_refused_by_name(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0000_rgb.jpg"
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(LightDepthError, match=r"0000_rgb.jpg is truncated"):
        load_pairs(tum_copy, "train").pairs[0].read()


# Kaggle / DenseDepth


@pytest.mark.parametrize(("level", "csv_inside"), [(True, False), (True, True), (False, False)])
def test_the_csv_is_found_with_and_without_the_data_level(tmp_path, tum, level, csv_inside, write_kaggle):
    folder = write_kaggle(tmp_path / "kaggle", level=level, csv_inside=csv_inside)
    for split, count in (("train", 4), ("test", 2)):
        pairs = load_pairs(folder, split)
        assert (pairs.packaging, pairs.split, len(pairs)) == ("kaggle", split, count)
    truth = frames(tum, "test")
    for got, expected in zip(frames(folder, "test"), truth, strict=True):
        np.testing.assert_array_equal(got.depth_m, expected.depth_m)  # 16 bit: lossless
    for got, expected in zip(frames(folder, "train"), frames(tum, "train"), strict=True):
        seen = expected.depth_m > 1 / 25.5
        assert np.abs(got.depth_m - expected.depth_m)[seen].max() <= 0.5 / 25.5 + 1e-5  # 8 bit: half a step
        assert (got.depth_m[expected.depth_m == 0] == 0).all()
    assert scenes_of(load_pairs(folder, "train")) == ["freiburg3_cabinet_out", "freiburg1_rpy_out"]


def test_a_csv_can_be_named_itself(tmp_path, write_kaggle):
    folder = write_kaggle(tmp_path / "kaggle")
    assert len(load_pairs(folder / "nyu2_train.csv", "train")) == 4


def test_the_packaging_knows_its_camera_and_another_csv_does_not(tmp_path, write_kaggle):
    folder = write_kaggle(tmp_path / "kaggle")
    camera = load_pairs(folder, "train").intrinsics
    assert (camera.fx, camera.width, camera.height) == (518.858, 640, 480)
    csv_path = next(folder.rglob("nyu2_test.csv"))
    assert load_pairs(csv_path.rename(csv_path.with_name("mine.csv")), "test").intrinsics is None


def test_a_csv_row_whose_file_is_missing_is_refused_before_training(tmp_path, write_kaggle):
    folder = write_kaggle(tmp_path / "kaggle")
    first = next((folder / "data" / "nyu2_train").rglob("0.jpg"))
    first.unlink()
    assert str(first) in fails_with("nyu2_train.csv names .*0.jpg, which doesn't exist. .*Restore", folder)


def test_the_missing_file_is_named_in_the_folder_it_was_expected_in_without_the_level_too(tmp_path, write_kaggle):
    folder = write_kaggle(tmp_path / "kaggle", level=False)
    first = next((folder / "nyu2_train").rglob("0.png"))
    first.unlink()
    assert str(first) in fails_with("which doesn't exist", folder)


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "lists no pairs"), ("a.jpg,b.png,c\n", "line 1: .* got 3 words"), ("a\n", "got 1 word: 'a'")],
)
def test_a_faulty_csv_is_one_sentence(tmp_path, text, words):
    (tmp_path / "nyu2_train.csv").write_text(text)
    fails_with(words, tmp_path)


# The official labelled .mat


@pytest.mark.parametrize("scenes", [True, False])
def test_the_mat_gives_upright_frames_in_metres(tmp_path, tum, scenes, write_mat):
    folder = write_mat(tmp_path / "mat", scenes=scenes)
    for split in ("train", "test"):
        pairs = load_pairs(folder, split)
        assert pairs.packaging == "labelled mat"
        assert pairs.intrinsics is not None
        for got, expected in zip(frames(folder, split), frames(tum, split), strict=True):
            np.testing.assert_array_equal(got.image, expected.image)
            np.testing.assert_array_equal(got.depth_m, expected.depth_m)
    names = scenes_of(load_pairs(folder, "train"))
    assert names == (["freiburg3_cabinet", "freiburg1_rpy"] if scenes else ["frames-0000"])


def test_the_mat_file_itself_can_be_named(tmp_path, write_mat):
    folder = write_mat(tmp_path / "mat")
    assert len(load_pairs(folder / "nyu_depth_v2_labeled.mat", "test")) == 2


def test_a_mat_without_its_splits_is_refused(tmp_path, write_mat):
    folder = write_mat(tmp_path / "mat")
    (folder / "splits.mat").unlink()
    fails_with("no splits.mat; download it", folder)


def test_splits_of_another_file_are_refused(tmp_path, write_mat):
    folder = write_mat(tmp_path / "mat")
    savemat(folder / "splits.mat", {"trainNdxs": np.array([[1], [7]]), "testNdxs": np.array([[0]])})
    fails_with(r"names images outside .* \(it has 6\)", folder, "train")
    fails_with("names images outside", folder, "test")


@pytest.mark.parametrize("name", ["splits.mat", "nyu_depth_v2_labeled.mat"])
def test_a_damaged_mat_is_one_sentence(tmp_path, name, write_mat):
    folder = write_mat(tmp_path / "mat")
    (folder / name).write_bytes(b"not a mat file at all")
    fails_with(f"{name} can't be", folder)


def test_a_mat_without_the_variables_is_refused(tmp_path, write_mat):
    folder = write_mat(tmp_path / "mat")
    with h5py.File(folder / "nyu_depth_v2_labeled.mat", "w") as file:
        file["images"] = np.zeros((6, 3, 4, 5), np.uint8)
    fails_with(r"not the official labelled file \(no array 'depths'\)", folder)


def test_the_mat_has_no_third_split(tmp_path, write_mat):
    fails_with("has the splits train and test, not 'validation'", write_mat(tmp_path / "mat"), "validation")


# All of them


def test_a_missing_folder_and_an_empty_one_are_named(tmp_path):
    fails_with("No data at .*nowhere", tmp_path / "nowhere")
    fails_with("No train pairs in .*It holds nothing", tmp_path)
    (tmp_path / "holiday.jpg").touch()
    fails_with("It holds 1 .jpg file\\.", tmp_path, "test")


def brightness_as_depth(image):
    return 1 + image.mean(axis=2, dtype=np.float32) / 64


def test_the_three_packagings_of_the_same_pairs_score_alike(tmp_path, tum, write_kaggle, write_mat):
    folders = (tum, write_kaggle(tmp_path / "kaggle"), write_mat(tmp_path / "mat"))
    for name in ("eigen", "none"):
        results = [
            evaluate(brightness_as_depth, load_pairs(folder, "test"), get_protocol(name), model="m").metrics
            for folder in folders
        ]
        assert results[0] == results[1] == results[2]


def test_a_mat_file_under_another_name_is_read_itself_and_not_its_neighbour(write_mat, tmp_path):
    folder = write_mat(tmp_path / "mat")
    (folder / "mine.mat").write_bytes(b"not this one")
    with pytest.raises(LightDepthError, match=r"mine\.mat can't be opened"):
        load_pairs(folder / "mine.mat", "test")
    (folder / "nyu_depth_v2_labeled.mat").rename(folder / "mine.mat")
    assert load_pairs(folder / "mine.mat", "test").pairs[0].mat_path == folder / "mine.mat"


def test_a_header_that_promises_3600_megapixels_of_depth_is_one_sentence(tmp_path):
    header = b"IHDR" + struct.pack(">IIBBBBB", 60000, 60000, 16, 0, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b"\0" * 100), b"IEND"]
    png = b"".join(struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks)
    path = tmp_path / "d.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + png)
    with pytest.raises(LightDepthError, match=r"d\.png can't be decoded as an image"):
        read_depth_values(path)
