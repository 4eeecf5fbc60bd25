import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_unit import NAMED_UNITS, decode_depth, parse_depth_unit

METRES = np.float32([[0.0, 0.5, 1.25, 3.0, 8.0]])


@pytest.mark.parametrize(
    ("name", "per_metre"),
    [
        ("millimetres", 1000),
        ("tum", 5000),
        ("kitti", 256),
        ("realsense-l515", 4000),
        ("realsense-sr300", 8000),
        ("realsense-d405", 10000),
        ("centimetres", 100),
        ("metres", 1),
        ("2000", 2000),
        ("5000 per metre", 5000),
    ],
)
def test_named_and_numbered_units_give_metres(name, per_metre):
    stored = METRES.astype(np.float64) * per_metre
    values = np.rint(stored).astype(np.uint32)
    np.testing.assert_allclose(decode_depth(values, parse_depth_unit(name)), np.rint(stored) / per_metre, rtol=1e-6)


def test_the_rotated_bits_of_sun_rgbd_are_turned_back():
    millimetres = np.array([[0, 1, 1234, 8191, 40000]], np.uint16)
    stored = (millimetres << 3) | (millimetres >> 13)
    for name in ("rotate3", "sunrgbd"):
        np.testing.assert_array_equal(decode_depth(stored, parse_depth_unit(name)), millimetres / np.float32(1000))


def test_the_largest_16_bit_value_is_no_reading():
    stored = np.array([[0, 1500, 65534, 65535]], np.uint16)
    np.testing.assert_array_equal(decode_depth(stored), np.float32([[0, 1.5, 65.534, 0]]))
    assert decode_depth(stored.astype(np.int32))[0, 3] == np.float32(65.535), "wider files hold more"


def test_an_unknown_unit_is_refused_with_the_nearest_and_all_names():
    with pytest.raises(LightDepthError, match="did you mean 'kitti'") as caught:
        parse_depth_unit("kiti")
    assert all(name in str(caught.value) for name in NAMED_UNITS)


@pytest.mark.parametrize("text", ["0", "-5", "nan", "inf"])
def test_a_unit_that_is_no_positive_number_is_refused(text):
    with pytest.raises(LightDepthError, match="positive number"):
        parse_depth_unit(text)
