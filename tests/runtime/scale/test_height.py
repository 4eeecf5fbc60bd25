import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.floor import CameraMount
from lightdepth_runtime.scale import correction_from_height

MOUNT = CameraMount(0.5, 15.0)


@pytest.mark.parametrize("scale", [0.6, 1.0, 1.7])
def test_the_cameras_height_gives_the_scale(scale):
    correction = correction_from_height(room_m(MOUNT) / np.float32(scale), CAMERA, MOUNT)
    assert correction.scale == pytest.approx(scale, rel=0.03)


def test_without_a_floor_there_is_no_scale():
    with pytest.raises(LightDepthError, match="No floor"):
        correction_from_height(room_m(MOUNT, 2.0, floor=False), CAMERA, MOUNT)
