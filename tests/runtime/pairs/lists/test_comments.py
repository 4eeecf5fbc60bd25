import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.pairs.lists.comments import describe_camera, read_comments
from lightdepth_runtime.pairs.lists.files import Told
from lightdepth_runtime.spec import Intrinsics

CAMERA = "# intrinsics: 129.3 129.2 79.5 59.5 160 120"


def write(folder, *lines):
    path = folder / "own.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_camera_and_unit_hold_from_their_line_to_the_next_of_their_kind(tum_copy):
    rows = (tum_copy / "train.txt").read_text().splitlines()
    rows = [row for row in rows if row and not row.startswith("#")]
    path = write(tum_copy, CAMERA, rows[0], "# depth: 5000 per metre", rows[1], CAMERA.replace("129.3", "140"), rows[2])
    pairs = load_pairs(path, "train")
    assert [pair.intrinsics.fx for pair in pairs.pairs] == [129.3, 129.3, 140]
    assert [pair.depth_unit for pair in pairs.pairs] == [None, "5000", "5000"]
    assert pairs.intrinsics is None, "there is no camera of all"
    plain = load_pairs(tum_copy, "train").pairs[1].read().depth_m
    assert pairs.pairs[1].read().depth_m.max() == pytest.approx(plain.max() / 5)


def test_unknown_ends_what_was_told_above():
    lines = [CAMERA, "# depth: tum", "a b", "# intrinsics: unknown", "c d", "# depth: unknown", "e f"]
    states = read_comments(lines, "own.txt", Told(None, None))
    told = [(states[line].camera is None, states[line].unit is None) for line in (2, 4, 6)]
    assert told == [(False, False), (True, False), (True, True)]


@pytest.mark.parametrize(
    "line",
    [
        "# Intrinsics: 1 2 3 4 5 6",
        "#intrinsics: 1 2 3 4 5 6",
        "# intrinsic: 1 2 3 4 5 6",
        "# intrinsics 1 2 3 4 5 6",
        "# intrinisics: 1 2 3 4 5 6",
        "# intrinsics = 1 2 3 4 5 6",
        "# camera: 1 2 3 4 5 6",
        "# depth scale: 5000",
        "# Depth: 5000",
        "# depth = 5000",
        "# depth 5000 per metre",
        "# K: 1 2 3 4 5 6",
        "# fx=1 fy=2 cx=3 cy=4",
        "# fx 525, fy 525",
        "# focal length: 525",
        "# Kinect intrinsics: 1 2 3 4 5 6",
        "# intrinsics (fx fy cx cy w h): 1 2 3 4 5 6",
        "# color camera matrix: 1 0 2 0 1 3 0 0 1",
        "# units: mm",
        "# scale: 5000",
        "# PNG depth factor: 5000",
    ],
)
def test_a_comment_that_is_nearly_one_that_tells_is_an_error(tmp_path, line):
    with pytest.raises(LightDepthError, match=r"line 2: .* looks like a comment that tells"):
        read_comments(["# hello", line], tmp_path / "list.txt", Told())


@pytest.mark.parametrize(
    "line",
    [
        "# depth maps of my camera",
        "# recorded: 2026-01-02",
        "# 3 rooms",
        "#",
        "# the intrinsics are unknown",
        "# Unity 2022",
    ],
)
def test_other_comments_are_comments(tmp_path, line):
    assert read_comments([line], tmp_path / "list.txt", Told()) == [Told()]


@pytest.mark.parametrize("line", ["# intrinsics: 1 2 3", "# intrinsics: a b c d e f", "# depth: furlongs"])
def test_a_comment_that_tells_nonsense_names_its_line(tmp_path, line):
    with pytest.raises(LightDepthError, match=r"list.txt, line 1: "):
        read_comments([line], tmp_path / "list.txt", Told())


def test_a_camera_below_all_pairs_is_refused(tum_copy):
    row = next(r for r in (tum_copy / "train.txt").read_text().splitlines() if r and not r.startswith("#"))
    with pytest.raises(LightDepthError, match="below the last pair"):
        load_pairs(write(tum_copy, row, CAMERA), "train")


def test_a_camera_is_written_as_it_is_read(tmp_path):
    camera = Intrinsics(518.858, 519.47, 325.582, 253.736, 640, 480)
    assert read_comments([describe_camera(camera)], tmp_path, Told())[0].camera == camera


@pytest.mark.parametrize(
    "numbers", ["500 500 320 240 inf 480", "500 500 320 240 640.5 480", "0 0 0 0 0 0", "1 1 nan 1 2 2"]
)
def test_six_numbers_that_are_no_camera_name_their_line(tmp_path, numbers):
    with pytest.raises(LightDepthError, match=r"list.txt, line 1: "):
        read_comments([f"# intrinsics: {numbers}"], tmp_path / "list.txt", Told())


def test_a_csv_has_the_same_comments(tum_copy):
    rows = [row for row in (tum_copy / "train.txt").read_text().splitlines() if row and not row.startswith("#")]
    path = tum_copy / "own.csv"
    path.write_text("\n".join([CAMERA, "# depth: 5000 per metre", *(row.replace(" ", ",") for row in rows)]))
    pairs = load_pairs(path, "train")
    assert pairs.intrinsics == read_comments([CAMERA], path, Told())[0].camera
    plain = load_pairs(tum_copy, "train").pairs[0].read().depth_m
    assert pairs.pairs[0].read().depth_m.max() == pytest.approx(plain.max() / 5)
    path.write_text("\n".join([*(row.replace(" ", ",") for row in rows), "# depth: furlongs"]))
    with pytest.raises(LightDepthError, match=f"line {len(rows) + 1}"):
        load_pairs(path, "train")


def test_a_folder_and_an_endless_name_in_a_list_are_told_as_such(tum_copy):
    (tum_copy / "a.d").mkdir()
    with pytest.raises(LightDepthError, match=r"a\.d, which is a folder"):
        load_pairs(write(tum_copy, "a.d b.png"), "train")
    with pytest.raises(LightDepthError, match="doesn't exist") as caught:
        load_pairs(write(tum_copy, f"{'a' * 100_000}.jpg b.png"), "train")
    assert len(str(caught.value)) < 1000
