import math

import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import Intrinsics, LightDepthError
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.obstacles import find_obstacles

MOUNT = CameraMount(0.4, 10.0)


def _sector_of(obstacles, bearing_rad: float) -> int:
    return int(np.searchsorted(obstacles.edges_rad, bearing_rad)) - 1


def test_the_floor_is_no_obstacle_and_the_wall_is():
    obstacles = find_obstacles(room_m(MOUNT, wall_m=4.0), CAMERA, MOUNT)
    ahead = _sector_of(obstacles, 0.01)
    assert obstacles.ranges_m[ahead] == pytest.approx(4.0, rel=0.02)
    assert np.isfinite(obstacles.ranges_m).all()
    assert obstacles.nearest_m == pytest.approx(4.0, rel=0.02)


def test_floor_without_end_leaves_every_direction_free():
    obstacles = find_obstacles(room_m(MOUNT, wall_m=50.0), CAMERA, MOUNT)
    assert np.isinf(obstacles.ranges_m).all()
    assert math.isinf(obstacles.nearest_m)
    assert (obstacles.pixels == -1).all()


@pytest.mark.parametrize(("left_edge_m", "right_edge_m"), [(0.9, 0.5), (-0.5, -0.9)])
def test_a_box_stands_in_its_own_direction_only(left_edge_m, right_edge_m):
    obstacles = find_obstacles(room_m(MOUNT, 5.0, ((2.0, left_edge_m, right_edge_m, 0.5),)), CAMERA, MOUNT)
    bearing_rad = math.atan2((left_edge_m + right_edge_m) / 2, 2.0)
    there, opposite = _sector_of(obstacles, bearing_rad), _sector_of(obstacles, -bearing_rad)
    assert obstacles.ranges_m[there] == pytest.approx(math.hypot(2.0, 0.7), rel=0.06)
    assert obstacles.ranges_m[opposite] > 4.5
    column, row = obstacles.pixels[there]
    assert (column < CAMERA.cx) == (left_edge_m > 0)
    assert row > 40


def test_angles_rise_from_right_to_left_over_the_field_of_view():
    obstacles = find_obstacles(room_m(CameraMount(0.4)), CAMERA, CameraMount(0.4), sectors=60)
    assert len(obstacles.ranges_m) == len(obstacles.angles_rad) == 60
    assert obstacles.edges_rad[-1] == pytest.approx(math.atan(80 / 130))
    assert obstacles.edges_rad[0] == pytest.approx(-math.atan(80 / 130))
    assert (np.diff(obstacles.edges_rad) > 0).all()


@pytest.mark.parametrize("roll_deg", [-30.0, -10.0, 10.0, 30.0])
def test_a_rolled_camera_sees_the_same_wall_in_its_own_field_of_view(roll_deg):
    mount = CameraMount(0.4, 10.0, roll_deg)
    obstacles = find_obstacles(room_m(mount, wall_m=4.0), CAMERA, mount)
    assert np.isfinite(obstacles.ranges_m).all()
    ahead = _sector_of(obstacles, 0.01)
    assert obstacles.ranges_m[ahead] == pytest.approx(4.0, rel=0.03)
    assert obstacles.edges_rad[-1] == pytest.approx(-obstacles.edges_rad[0], abs=0.02)


def test_a_part_cut_out_of_an_image_looks_where_it_looked():
    whole = find_obstacles(room_m(MOUNT), CAMERA, MOUNT, sectors=16)
    right = Intrinsics(CAMERA.fx, CAMERA.fy, CAMERA.cx - 100, CAMERA.cy, 60, 120)
    part = find_obstacles(np.ascontiguousarray(room_m(MOUNT)[:, 100:]), right, MOUNT, sectors=4)
    assert part.edges_rad[0] == pytest.approx(whole.edges_rad[0])
    assert part.edges_rad[-1] == pytest.approx(-math.atan(20 / 130), abs=0.01)


def test_depth_without_any_reading_is_not_taken_for_free():
    obstacles = find_obstacles(np.full((120, 160), np.nan, np.float32), CAMERA, MOUNT)
    assert np.isnan(obstacles.ranges_m).all()
    assert math.isnan(obstacles.nearest_m)


def test_millimetres_are_not_taken_for_metres():
    with pytest.raises(LightDepthError, match="uint16"):
        find_obstacles((room_m(MOUNT) * 1000).astype(np.uint16), CAMERA, MOUNT)


def test_what_hangs_above_the_robot_is_passed_under():
    depth_m = room_m(CameraMount(0.4, -20.0), wall_m=3.0)
    assert find_obstacles(depth_m, CAMERA, CameraMount(0.4, -20.0)).nearest_m == pytest.approx(3, rel=0.02)
    depth_m[60:] = 0  # what is left of the wall is higher than 1.4 m
    assert math.isinf(find_obstacles(depth_m, CAMERA, CameraMount(0.4, -20.0), clearance_m=1.2).nearest_m)


def test_low_things_are_floor_up_to_the_margin():
    depth_m = room_m(MOUNT, 5.0, ((2.0, 3.0, -3.0, 0.2),))
    assert find_obstacles(depth_m, CAMERA, MOUNT).nearest_m == pytest.approx(2.0, rel=0.05)
    assert find_obstacles(depth_m, CAMERA, MOUNT, floor_margin_m=0.25).nearest_m > 4.5


def test_directions_without_a_reading_say_so():
    depth_m = room_m(MOUNT, wall_m=4.0)
    depth_m[:, :80] = np.nan
    ranges_m = find_obstacles(depth_m, CAMERA, MOUNT).ranges_m
    assert np.isnan(ranges_m[9:]).all()  # the left half
    assert np.isfinite(ranges_m[:7]).all()


def test_a_single_torn_pixel_is_no_obstacle():
    depth_m = room_m(MOUNT, wall_m=4.0)
    depth_m[50, 70] = 0.3
    assert find_obstacles(depth_m, CAMERA, MOUNT).nearest_m == pytest.approx(4.0, rel=0.02)


@pytest.mark.parametrize(
    ("options", "named"),
    [({"sectors": 0}, "sector"), ({"floor_margin_m": 2.0}, "clearance"), ({"clearance_m": math.nan}, "clearance")],
)
def test_impossible_options_are_refused(options, named):
    with pytest.raises(LightDepthError, match=named):
        find_obstacles(room_m(MOUNT), CAMERA, MOUNT, **options)


def test_a_camera_of_another_size_is_refused():
    with pytest.raises(LightDepthError, match="differ in size"):
        find_obstacles(room_m(MOUNT), Intrinsics(50, 50, 31.5, 23.5, 64, 48), MOUNT)
