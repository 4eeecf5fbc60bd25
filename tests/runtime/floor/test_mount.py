import math

import numpy as np
import pytest

from lightdepth_runtime import LightDepthError
from lightdepth_runtime.floor import CameraMount


def test_a_level_camera_looks_ahead_with_right_to_the_right():
    rotation = CameraMount(1.0).rotation
    assert rotation @ [0, 0, 1] == pytest.approx([1, 0, 0])  # the optical axis is ahead
    assert rotation @ [1, 0, 0] == pytest.approx([0, -1, 0])  # right is minus left
    assert rotation @ [0, 1, 0] == pytest.approx([0, 0, -1])  # down is minus up


def test_a_camera_that_looks_down_sees_its_axis_fall():
    axis = CameraMount(1.0, tilt_deg=30).rotation @ [0, 0, 1]
    assert axis == pytest.approx([math.cos(math.radians(30)), 0, -0.5])


def test_a_rolled_camera_hangs_to_the_right():
    right = CameraMount(1.0, roll_deg=10).rotation @ [1, 0, 0]
    assert right[2] == pytest.approx(-math.sin(math.radians(10)))


@pytest.mark.parametrize(("tilt", "roll"), [(0, 0), (20, -5), (-30, 12), (60, 45)])
def test_the_mount_of_its_own_up_is_itself(tilt, roll):
    mount = CameraMount(0.4, tilt, roll)
    again = CameraMount.from_up(0.4, mount.up)
    assert (again.tilt_deg, again.roll_deg) == (pytest.approx(tilt), pytest.approx(roll))
    assert mount.rotation @ mount.rotation.T == pytest.approx(np.eye(3))
    assert np.linalg.det(mount.rotation) == pytest.approx(1)


@pytest.mark.parametrize(("tilt", "roll"), [(0, 0), (20, -5), (-30, 12), (60, 45)])
def test_the_quaternion_turns_level_vectors_into_optical_ones(tilt, roll):
    mount = CameraMount(0.4, tilt, roll)
    x, y, z, w = mount.quaternion()
    vector = np.array([x, y, z])
    for level in np.eye(3):
        turned = level + 2 * np.cross(vector, np.cross(vector, level) + w * level)
        assert turned == pytest.approx(mount.rotation.T @ level, abs=1e-9)


@pytest.mark.parametrize("values", [(0.0,), (-1.0,), (math.nan,), (1.0, 90.0), (1.0, math.inf), (1.0, 0.0, math.nan)])
def test_impossible_mounts_are_refused(values):
    with pytest.raises(LightDepthError):
        CameraMount(*values)


@pytest.mark.parametrize("roll_deg", [90.0, -90.0, 180.0])
def test_a_camera_on_its_side_is_to_have_its_images_turned(roll_deg):
    with pytest.raises(LightDepthError, match="upright"):
        CameraMount(1.0, 0.0, roll_deg)
