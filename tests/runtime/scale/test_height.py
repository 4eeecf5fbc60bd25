import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.scale import FloorScale, correction_from_height

MOUNT = CameraMount(0.5, 15.0)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_the_cameras_height_gives_the_scale(scale):
    correction = correction_from_height(room_m(MOUNT) / np.float32(scale), CAMERA, MOUNT)
    assert correction.scale == pytest.approx(scale, rel=0.03)


@pytest.mark.parametrize("height_m", [50.0, 0.005])
def test_a_height_in_another_unit_is_refused(height_m):
    with pytest.raises(LightDepthError, match="in metres"):
        correction_from_height(room_m(MOUNT), CAMERA, CameraMount(height_m, MOUNT.tilt_deg))


def test_without_a_floor_there_is_no_scale():
    with pytest.raises(LightDepthError, match="No floor"):
        correction_from_height(room_m(MOUNT, 2.0, floor=False), CAMERA, MOUNT)


def test_a_stream_keeps_the_last_floors_scale_where_none_is_seen():
    floor, wall_m = FloorScale(MOUNT), room_m(MOUNT, 2.0, floor=False)
    assert "No floor" in floor.apply(wall_m.copy(), CAMERA)
    for _ in range(3):
        depth_m = room_m(MOUNT) / np.float32(1.5)
        assert floor.apply(depth_m, CAMERA) is None
        assert depth_m == pytest.approx(room_m(MOUNT), rel=0.03)
    depth_m = wall_m.copy()
    assert "No floor" in floor.apply(depth_m, CAMERA)
    assert depth_m == pytest.approx(1.5 * wall_m, rel=0.03)
    floor.reset()
    floor.apply(depth_m := wall_m.copy(), CAMERA)
    assert depth_m == pytest.approx(wall_m)
