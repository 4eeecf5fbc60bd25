import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import lightdepth
from lightdepth.cli.data import data_app
from lightdepth.prepare.check import check_data
from lightdepth.prepare.sheet import draw_sheet
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import parse_depth_unit

DEMO = Path(lightdepth.__file__).parent / "demo_data"


@pytest.fixture
def demo(tmp_path):
    """A copy of the demo's real pairs, one split a recording, that a test may damage."""
    root = Path(shutil.copytree(DEMO, tmp_path / "demo"))
    for split, scene in (("train", "freiburg3_cabinet"), ("test", "freiburg1_rpy")):
        colors = sorted((root / scene).glob("*_rgb.jpg"))
        lines = [f"{scene}/{path.name} {scene}/{path.name.replace('_rgb.jpg', '_depth.png')}" for path in colors]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
    return root


def files(root, split):
    """Return (colour, depth) of each pair."""
    lines = (root / f"{split}.txt").read_text().splitlines()
    return [tuple(root / word for word in line.split()) for line in lines if line and not line.startswith("#")]


def read_depth(path):
    return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)


def change_depth(path, change):
    depth = read_depth(path)
    cv2.imwrite(str(path), change(depth))


def findings(root, level=None):
    return {(f.check, f.level) for f in check_data(root).findings if level in (None, f.level)}


def test_the_clean_set_has_no_error_and_no_warning(demo):
    report = check_data(demo)
    assert report.usable
    assert [finding for finding in report.findings if finding.level != "note"] == []
    assert [(split.split, split.read == split.pairs) for split in report.splits] == [("train", True), ("test", True)]
    assert all(split.bits == {"16": split.pairs} for split in report.splits)


def test_bytes_taken_for_millimetres_are_caught_in_one_line(write_kaggle, tmp_path):
    """The error that made training depth 39 times too small: 8-bit values of 10 m / 255 read as millimetres."""
    root = write_kaggle(tmp_path / "kaggle")
    assert not {f for f in findings(root) if f[0] == "units"}
    for path in (root / "data" / "nyu2_train").rglob("*.png"):
        change_depth(path, lambda depth: depth.astype(np.uint16))
    report = check_data(root)
    lines = [line for line in report.lines() if "train and test disagree" in line]
    assert not report.usable
    assert len(lines) == 1
    train, test = report.splits
    assert f"{test.median_m / train.median_m:.0f} times apart" in lines[0]
    assert test.median_m / train.median_m > 20


@pytest.mark.parametrize(("unit", "level"), [(None, "error"), ("millimetres", "warning")])
def test_two_units_in_one_set_are_told_apart_by_scene(demo, unit, level):
    (demo / "train.txt").write_text((demo / "train.txt").read_text() + (demo / "test.txt").read_text())
    (demo / "test.txt").unlink()
    for _, depth in files(demo, "train"):
        if depth.parent.name == "freiburg1_rpy":
            change_depth(depth, lambda depth: depth * 5)
    report = check_data(demo, unit=unit and parse_depth_unit(unit))
    [found] = [finding for finding in report.findings if finding.check == "units"]
    assert found.level == level
    assert "scene freiburg1_rpy looks" in found.message
    assert "as large as that of freiburg3_cabinet: two units in one set?" in found.message


@pytest.mark.parametrize(
    ("camera", "fits"),
    [
        ("525 525 319.5 239.5 640 480", True),  # calibrated at twice the size of these images
        ("525 525 319.5 179.5 640 360", False),
        ("5250 5250 319.5 239.5 640 480", False),
    ],
)
def test_a_camera_fits_its_images_made_smaller_and_not_those_of_another_shape(demo, camera, fits):
    for split in ("train", "test"):
        path = demo / f"{split}.txt"
        path.write_text(f"# intrinsics: {camera}\n{path.read_text()}")
    assert (("intrinsics", "error") not in findings(demo)) == fits


def test_each_of_several_cameras_is_judged_and_the_pairs_without_one_are_counted(demo):
    path = demo / "train.txt"
    rows = [row for row in path.read_text().splitlines() if row and not row.startswith("#")]
    told = "# intrinsics: 525 525 319.5 239.5 640 480", "# intrinsics: 525 525 319.5 179.5 640 360"
    path.write_text("\n".join([rows[0], told[0], rows[1], told[1], *rows[2:]]))
    found = [f for f in check_data(path).findings if f.check == "intrinsics"]
    assert [(f.level, len(f.files)) for f in found] == [("note", 1), ("error", len(rows) - 2)]


def lose_color(root):
    files(root, "train")[1][0].unlink()


def truncate_depth(root):
    path = files(root, "train")[1][1]
    path.write_bytes(path.read_bytes()[:200])


def eight_bits(root):
    change_depth(files(root, "train")[0][1], lambda depth: (depth // 256).astype(np.uint8))


def colored_depth(root):
    change_depth(files(root, "train")[0][1], lambda depth: np.dstack([(depth // 256).astype(np.uint8)] * 3))


def smaller_depth(root):
    change_depth(files(root, "train")[0][1], lambda depth: depth[::2, ::2])


def no_reading(root):
    change_depth(files(root, "train")[0][1], np.zeros_like)


def mostly_holes(root):
    def change(depth):
        depth = depth.copy()
        depth[: depth.shape[0] * 9 // 10] = 0
        return depth

    change_depth(files(root, "train")[0][1], change)


def tenfold_file(root):
    change_depth(files(root, "train")[0][1], lambda depth: (depth // 10).astype(np.uint16))


def saturated(root):
    def change(depth):
        depth = depth.copy()
        depth[: depth.shape[0] // 2] = 65535
        return depth

    change_depth(files(root, "train")[0][1], change)


def flat_depth(root):
    change_depth(files(root, "train")[0][1], lambda depth: np.full_like(depth, 1500))


def black_image(root):
    path = files(root, "train")[0][0]
    cv2.imwrite(str(path), np.zeros_like(cv2.imread(str(path))))


def white_image(root):
    path = files(root, "train")[0][0]
    image = cv2.imread(str(path))
    image[: image.shape[0] // 2] = 255
    cv2.imwrite(str(path), image)


def other_size(root):
    for path in files(root, "train")[0]:
        image = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        cv2.imwrite(str(path), image[: image.shape[0] // 32 * 16])


def copied_within(root):
    first, second = files(root, "train")[:2]
    shutil.copy(first[0], second[0])


def copied_across(root):
    shutil.copy(files(root, "test")[0][0], files(root, "train")[0][0])


def recompressed_across(root):
    image = cv2.imread(str(files(root, "test")[0][0]))
    cv2.imwrite(str(files(root, "train")[0][0]), image, [cv2.IMWRITE_JPEG_QUALITY, 70])


def scene_in_both(root):
    with (root / "test.txt").open("a") as file:
        file.write("\n".join((root / "train.txt").read_text().splitlines()[-1:]) + "\n")


def whole_set_in_centimetres(root):
    for _, depth in files(root, "train"):
        change_depth(depth, lambda values: (values // 10).astype(np.uint16))


def depth_of_other_images(root):
    pairs = files(root, "train")
    contents = [depth.read_bytes() for _, depth in pairs]
    for (_, depth), content in zip(pairs, contents[len(contents) // 2 :] + contents[: len(contents) // 2], strict=True):
        depth.write_bytes(content)


def shifted_depth(root):
    for _, depth in files(root, "train"):
        change_depth(depth, lambda values: np.roll(values, values.shape[1] * 4 // 160, axis=1))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("plant", "check", "level"),
    [
        (lose_color, "unreadable", "error"),
        (truncate_depth, "unreadable", "error"),
        (eight_bits, "unreadable", "error"),
        (colored_depth, "unreadable", "error"),
        (smaller_depth, "sizes", "warning"),
        (no_reading, "no_depth", "error"),
        (tenfold_file, "units", "error"),
        (whole_set_in_centimetres, "units", "error"),
        (mostly_holes, "holes", "warning"),
        (saturated, "saturated", "warning"),
        (flat_depth, "flat_depth", "warning"),
        (black_image, "flat_color", "warning"),
        (white_image, "overexposed", "warning"),
        (other_size, "sizes", "warning"),
        (copied_within, "duplicates", "warning"),
        (copied_across, "duplicates", "error"),
        (recompressed_across, "near_duplicates", "error"),
        (scene_in_both, "scenes", "error"),
        (depth_of_other_images, "alignment", "error"),
        (shifted_depth, "alignment", "error"),
    ],
)
def test_a_planted_fault_is_found(demo, plant, check, level):
    plant(demo)
    assert (check, level) in findings(demo)


@pytest.mark.slow
def test_findings_name_their_files(demo):
    no_reading(demo)
    line = next(line for line in check_data(demo).lines() if "without a single reading" in line)
    assert line.startswith("error: train: 1 pair without a single reading: ")
    assert line.endswith(files(demo, "train")[0][0].name)


@pytest.mark.slow
def test_the_command_writes_json_and_a_sheet_and_its_exit_code_tells(demo, tmp_path):
    arguments = [
        "check",
        str(demo),
        "--json",
        str(tmp_path / "r.json"),
        "--sheet",
        str(tmp_path / "s.png"),
        "--most",
        "3",
    ]
    result = CliRunner().invoke(data_app, arguments)
    assert result.exit_code == 0
    assert "No errors." in result.output
    values = json.loads((tmp_path / "r.json").read_text())
    assert (values["schema"], values["usable"]) == ("lightdepth.data_check/1", True)
    assert [split["read"] for split in values["splits"]] == [3, min(3, len(files(demo, "test")))]
    assert cv2.imread(str(tmp_path / "s.png")).shape[2] == 3
    whole_set_in_centimetres(demo)
    assert CliRunner().invoke(data_app, ["check", str(demo)]).exit_code == 1


def test_a_single_list_is_checked_alone():
    report = check_data(DEMO / "train.txt")
    assert len(report.splits) == 1


def test_a_folder_without_data_is_refused(tmp_path):
    with pytest.raises(LightDepthError, match="No test pairs in"):
        check_data(tmp_path)
    (tmp_path / "train.txt").write_text("a.jpg a.png\n")
    with pytest.raises(LightDepthError, match="No pair of"):
        draw_sheet(tmp_path, ["train"], tmp_path / "sheet.png")
