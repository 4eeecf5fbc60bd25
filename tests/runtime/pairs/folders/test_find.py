import shutil

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import MissingSplitError, load_pairs, splits_of

IMAGE = np.random.default_rng(0).integers(0, 255, (24, 32, 3), np.uint8)


def write(path, values=None):
    """Write a picture; without values a colour one, with a number depth of that value everywhere."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = IMAGE if values is None else np.full((24, 32), values, np.uint16)
    assert cv2.imwrite(str(path), content)


def medians(pairs):
    return [round(float(np.median(pair.read().depth_m)), 4) for pair in pairs.pairs]


@pytest.mark.parametrize(
    ("color", "depth"),
    [
        ("color/{}.jpg", "depth/{}.png"),
        ("rgb/rgb_{}.png", "depth/depth_{}.png"),
        ("RGB/{}.color.jpg", "aligned_depth/{}.depth.tif"),
        ("images/IMG_{}.jpg", "depths/scan{}.png"),
    ],
)
def test_colour_and_depth_folders_are_matched_by_name_or_number(tmp_path, color, depth):
    for number in (2, 10, 1):
        write(tmp_path / color.format(number))
        write(tmp_path / depth.format(number), number * 1000)
    pairs = load_pairs(tmp_path, "train")
    assert medians(pairs) == [1, 2, 10]
    assert (pairs.packaging, pairs.split) == ("colour and depth folders", "all")
    assert splits_of(tmp_path) == ("all",)


def test_what_has_no_partner_is_left_out_and_said(tmp_path):
    for name in "abc":
        write(tmp_path / "color" / f"{name}.jpg")
    write(tmp_path / "depth" / "b.png", 1500)
    write(tmp_path / "depth" / "z.png", 1500)
    (tmp_path / "color" / "z.HEIC").touch()
    pairs = load_pairs(tmp_path, "test")
    assert [pair.name for pair in pairs.pairs] == ["color/b.jpg"]
    assert any("3 files have no partner" in note for note in pairs.notes)
    assert "files of other kinds beside them are not read: 1 .heic" in pairs.notes


def test_file_names_of_time_stamps_are_matched_by_the_nearest(tmp_path):
    for stamp in ("1305031910.765238", "1305031910.865025"):
        write(tmp_path / "rgb" / f"{stamp}.png")
    for stamp, value in (("1305031910.771502", 1000), ("1305031910.871000", 2000), ("1305031911.9", 3000)):
        write(tmp_path / "depth" / f"{stamp}.png", value)
    assert medians(load_pairs(tmp_path, "train")) == [1, 2]


def test_order_pairs_what_nothing_else_does_and_says_so(tmp_path):
    for name, value in (("first", 1000), ("second", 2000)):
        write(tmp_path / "color" / f"{name}.png")
        write(tmp_path / "depth" / f"map-of-{name}.png", value)
    pairs = load_pairs(tmp_path, "train")
    assert medians(pairs) == [1, 2]
    assert any("nothing but their order" in note for note in pairs.notes)


def test_scene_folders_are_scenes(tmp_path):
    for scene in ("kitchen", "hall/upper"):
        write(tmp_path / scene / "color" / "0.jpg")
        write(tmp_path / scene / "depth" / "0.png", 1000)
    assert [pair.scene for pair in load_pairs(tmp_path, "train").pairs] == ["hall/upper", "kitchen"]


def test_depth_beside_colour_in_one_folder(tum):
    pairs = load_pairs(tum / "freiburg3_cabinet", "train")
    assert pairs.packaging == "colour and depth files"
    assert all(pair.depth_path.name == pair.color_path.name.replace("_rgb.jpg", "_depth.png") for pair in pairs.pairs)


def test_folders_named_train_and_test_are_splits(tmp_path):
    for split, value in (("train", 1000), ("val", 2000)):
        write(tmp_path / split / "color" / "0.jpg")
        write(tmp_path / split / "depth" / "0.png", value)
    assert medians(load_pairs(tmp_path, "train")) == [1]
    assert medians(load_pairs(tmp_path, "test")) == [2]
    assert splits_of(tmp_path) == ("train", "test")


def write_tum(folder, *, associations=False):
    write(folder / "rgb" / "1.000000.png")
    write(folder / "depth" / "1.010000.png", 5000)
    if associations:
        (folder / "associations.txt").write_text("1.01 depth/1.010000.png 1.0 rgb/1.000000.png 1.0 0 0 0 0 0 0 1\n")
    else:
        (folder / "rgb.txt").write_text("# color images\n1.000000 rgb/1.000000.png\n9.0 rgb/gone.png\n")
        (folder / "depth.txt").write_text("# depth maps\n1.010000 depth/1.010000.png\n")


@pytest.mark.parametrize("associations", [False, True])
def test_a_tum_sequence_has_its_unit_and_camera(tmp_path, associations):
    folder = tmp_path / "rgbd_dataset_freiburg1_desk"
    write_tum(folder, associations=associations)
    pairs = load_pairs(folder, "train")
    assert medians(pairs) == [1]
    assert (pairs.packaging, pairs.intrinsics.fx, pairs.pairs[0].depth_unit) == ("TUM sequences", 517.3, "tum")


KITTI_CALIBRATION = "S_rect_02: 32 24\nP_rect_02: 20 0 16 0 0 21 12 0 0 0 1 0\n"


def write_kitti(folder, calibration=KITTI_CALIBRATION):
    drive = "2011_09_26_drive_0002_sync"
    write(folder / "raw" / "2011_09_26" / drive / "image_02" / "data" / "0000000005.png")
    (folder / "raw" / "2011_09_26" / "calib_cam_to_cam.txt").write_bytes(calibration.encode("latin-1"))
    write(folder / "train" / drive / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png", 256 * 70)


def test_kitti_is_sparse_depth_beside_its_drives(tmp_path):
    write_kitti(tmp_path)
    pairs = load_pairs(tmp_path / "train", "train")
    assert (pairs.packaging, medians(pairs), pairs.intrinsics.fy) == ("KITTI", [70], 21)


def test_kittis_selection_has_a_camera_for_each_image(tmp_path):
    name = "2011_09_26_drive_0002_sync_{}_00000000{}_image_02"
    for number in ("08", "11"):
        write(tmp_path / "image" / f"{name.format('image', number)}.png")
        write(tmp_path / "groundtruth_depth" / f"{name.format('groundtruth_depth', number)}.png", 256 * int(number))
        matrix = tmp_path / "intrinsics" / f"{name.format('image', number)}.txt"
        matrix.parent.mkdir(exist_ok=True)
        matrix.write_text(f"{number} 0 16 0 21 12 0 0 1")
    write(tmp_path / "groundtruth_depth" / f"{name.format('groundtruth_depth', '99')}.png", 256)
    pairs = load_pairs(tmp_path, "test")
    assert (pairs.packaging, medians(pairs)) == ("KITTI", [8, 11])
    assert [pair.intrinsics.fx for pair in pairs.pairs] == [8, 11]
    assert "1 file has no partner" in pairs.notes[1]


@pytest.mark.parametrize(
    "calibration", ["P_rect_02: 20 x", "S_rect_02: 32 24\nP_rect_02: 20 0 16\n", "S_rect_02: \xff"]
)
def test_a_damaged_calibration_of_kitti_is_named(tmp_path, calibration):
    write_kitti(tmp_path, calibration)
    with pytest.raises(LightDepthError, match=r"calib_cam_to_cam\.txt is no calibration as KITTI writes it"):
        load_pairs(tmp_path / "train", "train")


def test_a_camera_matrix_beside_the_images_is_read(tmp_path):
    write(tmp_path / "image" / "0.jpg")
    write(tmp_path / "depth_bfx" / "0.png", 1000 << 3)
    (tmp_path / "intrinsics.txt").write_text("529.5 0 365 \n0 530.5 265 \n0 0 1\n")
    pairs = load_pairs(tmp_path, "train")
    assert (pairs.intrinsics.fx, pairs.intrinsics.fy, pairs.intrinsics.width) == (529.5, 530.5, 32)
    assert medians(pairs) == [1], "SUN RGB-D's depth_bfx has rotated bits"
    for damaged, fault in (("529.5 365", "it has 2"), ("0 0 365 0 530.5 265 0 0 1", "positive focal lengths")):
        (tmp_path / "intrinsics.txt").write_text(damaged)
        with pytest.raises(LightDepthError, match=rf"intrinsics\.txt is no camera matrix of .* numbers .*{fault}"):
            load_pairs(tmp_path, "train")


def test_the_camera_of_stray_scanner_is_read(tmp_path):
    write(tmp_path / "rgb" / "000000.png")
    write(tmp_path / "depth" / "000000.png", 1000)
    (tmp_path / "camera_matrix.csv").write_text("26.5, 0.0, 16.0\n0.0, 26.5, 12.0\n0.0, 0.0, 1.0\n")
    camera = load_pairs(tmp_path, "train").intrinsics
    assert (camera.fx, camera.cx, camera.cy, camera.height) == (26.5, 16, 12, 24)


def test_a_declared_unit_stands_over_the_packaging(tmp_path):
    from lightdepth_runtime.pairs import parse_depth_unit

    write_tum(tmp_path)
    assert medians(load_pairs(tmp_path, "train", unit=parse_depth_unit("1000"))) == [5]


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        (["color/0.jpg"], r"color/ \(1 .jpg\).*no depth/ beside it"),
        (
            ["color/a.jpg", "depth/a.jpg"],
            "depth/ has no files that hold depth, which JPEG would spoil; write it as .exr",
        ),
        (["color/a.jpg", "depth/x.png", "depth/y.png"], "1 images and depth/ has 2 depth files, and neither"),
        (["a.jpg", "b.jpg"], "2 .jpg files.*Make it color/ and depth/"),
    ],
)
def test_what_fits_nothing_is_told_with_the_nearest_layout(tmp_path, entries, words):
    for entry in entries:
        write(tmp_path / entry)
    with pytest.raises(MissingSplitError, match=words):
        load_pairs(tmp_path, "train")


def test_a_link_that_leads_back_ends_the_search(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "back").symlink_to(tmp_path)
    with pytest.raises(MissingSplitError):
        load_pairs(tmp_path, "train")


def test_listed_files_that_are_gone_are_named(tmp_path):
    write_tum(tmp_path)
    shutil.rmtree(tmp_path / "depth")
    with pytest.raises(LightDepthError, match=r"1.010000.png, which doesn't exist"):
        load_pairs(tmp_path, "train")


def test_arkit_scenes_are_recognised_with_their_camera(tmp_path):
    for number in (1, 2):
        name = f"40777060_98.{number}64"
        write(tmp_path / "40777060" / "lowres_wide" / f"{name}.png")
        write(tmp_path / "40777060" / "lowres_depth" / f"{name}.png", number * 1000)
        write(tmp_path / "40777060" / "confidence" / f"{name}.png", 2)
        camera = tmp_path / "40777060" / "lowres_wide_intrinsics" / f"{name}.pincam"
        camera.parent.mkdir(exist_ok=True)
        camera.write_text(f"32 24 26.{number} 26.5 16 12\n")
    pairs = load_pairs(tmp_path, "train")
    assert (medians(pairs), pairs.intrinsics.fx, pairs.intrinsics.width) == ([1, 2], 26.1, 32)
    camera.with_name("40777060_98.164.pincam").write_text("32 24 26")
    with pytest.raises(LightDepthError, match=r"164\.pincam is no camera as ARKitScenes writes it"):
        load_pairs(tmp_path, "train")


def test_folders_that_fit_nothing_are_told_with_what_they_hold(tmp_path):
    for name in ("wide", "poses"):
        (tmp_path / "room" / name).mkdir(parents=True)
    with pytest.raises(MissingSplitError, match=r"It holds room/ \(poses/, wide/\)\."):
        load_pairs(tmp_path, "train")
