import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import Intrinsics, LightDepthError
from lightdepth_runtime.floor import CameraMount, find_floor


@pytest.mark.parametrize("mount", [CameraMount(0.3), CameraMount(1.2, 20.0), CameraMount(1.5, 10.0, 8.0)])
def test_the_floor_of_a_room_is_found_with_and_without_the_tilt(mount):
    depth_m = room_m(mount, boxes=((3.0, 1.5, 0.6, 0.8),))
    known = find_floor(depth_m, CAMERA, tilt_deg=mount.tilt_deg, roll_deg=mount.roll_deg)
    assert known.height_m == pytest.approx(mount.height_m, rel=0.02)
    free = find_floor(depth_m, CAMERA)
    assert free.height_m == pytest.approx(mount.height_m, rel=0.03)
    assert free.mount.tilt_deg == pytest.approx(mount.tilt_deg, abs=1.5)
    assert free.mount.roll_deg == pytest.approx(mount.roll_deg, abs=1.5)


def test_a_table_with_floor_beside_it_is_not_taken_for_the_floor():
    mount = CameraMount(1.4, 25.0)
    depth_m = room_m(mount)
    table = room_m(CameraMount(0.6, 25.0))
    depth_m[60:, :100] = table[60:, :100]  # the larger surface, 0.8 m over the floor
    assert find_floor(depth_m, CAMERA, tilt_deg=25.0).height_m == pytest.approx(1.4, rel=0.05)


@pytest.mark.parametrize("tilt_deg", [0.0, None])
def test_a_wall_alone_is_refused(tilt_deg):
    with pytest.raises(LightDepthError, match="No floor"):
        find_floor(room_m(CameraMount(1.0), wall_m=3.0, floor=False), CAMERA, tilt_deg=tilt_deg)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, -1.0])
def test_depth_without_readings_is_refused(value):
    with pytest.raises(LightDepthError, match="No floor"):
        find_floor(np.full((120, 160), value, np.float32), CAMERA, tilt_deg=0.0)


def test_holes_do_not_move_the_floor():
    mount = CameraMount(1.2, 20.0)
    depth_m = room_m(mount)
    depth_m[np.random.default_rng(0).random(depth_m.shape) < 0.1] = 0
    assert find_floor(depth_m, CAMERA, tilt_deg=20.0).height_m == pytest.approx(1.2, rel=0.03)


def test_a_camera_of_another_size_is_refused():
    with pytest.raises(LightDepthError, match="160x120 and camera 64x48"):
        find_floor(room_m(CameraMount(1.0)), Intrinsics(50, 50, 31.5, 23.5, 64, 48), tilt_deg=0.0)
