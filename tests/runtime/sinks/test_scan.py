import json
import math
from pathlib import Path

import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import Frame, LightDepthError
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.frames.frame import DepthFrame
from lightdepth_runtime.obstacles import find_obstacles
from lightdepth_runtime.obstacles.obstacles import FREE, SLOW, Obstacles, draw_obstacles
from lightdepth_runtime.sinks.open import Style, open_sinks
from lightdepth_runtime.sinks.scan import ScanSink

MOUNT = CameraMount(0.4, 10.0)
IMAGE = np.full((120, 160, 3), 128, np.uint8)


def test_each_frame_is_a_line_that_any_json_reader_takes(tmp_path):
    depth_m = room_m(MOUNT, wall_m=50.0, boxes=((1.5, 0.9, 0.5, 0.5),))
    depth_m[:, :30] = np.nan
    sink = ScanSink(tmp_path / "scan.jsonl", MOUNT)
    for number in range(2):
        sink.write(DepthFrame(Frame(IMAGE, number, f"frame_{number}", None, "camera"), depth_m, CAMERA))
    assert sink.close() == [tmp_path / "scan.jsonl"]
    lines = [json.loads(line) for line in (tmp_path / "scan.jsonl").read_text().splitlines()]
    assert [line["name"] for line in lines] == ["frame_0", "frame_1"]
    assert lines[0]["schema"] == "lightdepth.scan/1"
    found = find_obstacles(depth_m, CAMERA, MOUNT)
    for number, (range_m, expected) in enumerate(zip(lines[0]["ranges_m"], found.ranges_m, strict=True)):
        assert (range_m is None) == (not math.isfinite(expected))
        assert (number in lines[0]["unknown"]) == bool(np.isnan(expected))
    assert any(range_m is not None for range_m in lines[0]["ranges_m"])
    assert lines[0]["unknown"]


def test_a_scan_without_the_cameras_place_is_refused_before_any_frame(tmp_path):
    with pytest.raises(LightDepthError, match="--camera-height"):
        open_sinks(["scan"], tmp_path, "a", Style())
    assert list(tmp_path.iterdir()) == []


def test_a_frame_of_an_unknown_camera_is_refused_and_leaves_nothing(tmp_path):
    sink = ScanSink(tmp_path / "scan.jsonl", MOUNT)
    sink.write(DepthFrame(Frame(IMAGE, 0, "a"), room_m(MOUNT), CAMERA))
    with pytest.raises(LightDepthError, match="--focal-px"):
        sink.write(DepthFrame(Frame(IMAGE, 1, "b"), room_m(MOUNT), None))
    sink.abort()
    sink.abort()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("end", "names"), [(ScanSink.abort, []), (ScanSink.close, ["scan.jsonl"])])
def test_a_scan_is_whole_once_it_is_closed_or_never_there(tmp_path, end, names):
    sink = ScanSink(tmp_path / "scan.jsonl", MOUNT)
    assert sink.close() == []
    sink.write(DepthFrame(Frame(IMAGE, 0, "a"), room_m(MOUNT), CAMERA))
    assert not (tmp_path / "scan.jsonl").exists()
    end(sink)
    sink.abort()
    assert [path.name for path in tmp_path.iterdir()] == names


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="Linux has it")
def test_a_disk_that_is_full_at_the_end_is_one_sentence(tmp_path):
    (tmp_path / "scan.jsonl").symlink_to("/dev/full")
    sink = ScanSink(tmp_path / "scan.jsonl", MOUNT)
    sink.write(DepthFrame(Frame(IMAGE, 0, "a"), room_m(MOUNT), CAMERA))
    with pytest.raises(LightDepthError, match=r"Can't write .*: No space left"):
        sink.close()


def test_obstacles_are_marked_where_they_are_by_how_near_they_are():
    depth_m = room_m(MOUNT, wall_m=4.0, boxes=((1.5, 0.9, 0.5, 0.5),))
    obstacles = find_obstacles(depth_m, CAMERA, MOUNT)
    picture = draw_obstacles(IMAGE, obstacles)
    assert (IMAGE == 128).all()
    colors = {
        tuple(int(value) for value in picture[row, column])
        for (column, row), range_m in zip(obstacles.pixels, obstacles.ranges_m, strict=True)
    }
    assert {SLOW, FREE} <= colors


def test_a_range_is_not_written_over_a_nearer_one():
    picture = np.full((480, 640, 3), 128, np.uint8)
    edges_rad = np.linspace(-0.5, 0.5, 3)
    pixels = np.array([[306, 200], [300, 200]])
    both = draw_obstacles(picture, Obstacles(edges_rad, np.array([3.0, 0.8]), pixels))
    near = draw_obstacles(picture, Obstacles(edges_rad, np.array([math.inf, 0.8]), pixels))
    np.testing.assert_array_equal(both[:190], near[:190])
    assert (both[190:] != near[190:]).any(), "the farther one has its mark all the same"


def test_pictures_and_videos_show_obstacles_where_the_camera_is_placed(tmp_path):
    depth_m = room_m(MOUNT, wall_m=1.5)
    pictures = {}
    for name, mount in (("plain", None), ("mounted", MOUNT)):
        sinks = open_sinks(["png", "mp4"], tmp_path / name, "a", Style(mount=mount), fps=10)
        (tmp_path / name).mkdir()
        for number in range(3):
            for sink in sinks:
                sink.write(DepthFrame(Frame(IMAGE, number * 10**8, f"f{number}"), depth_m, CAMERA))
        paths = [path for sink in sinks for path in sink.close()]
        assert [path.name for path in paths] == ["a_depth.mp4"]
        pictures[name] = (tmp_path / name / "f0_depth.png").read_bytes()
    assert pictures["plain"] != pictures["mounted"]
    sizes = [(tmp_path / name / "a_depth.mp4").read_bytes() for name in pictures]
    assert sizes[0] != sizes[1]
