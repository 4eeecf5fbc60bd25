import numpy as np

from lightdepth_runtime.images.millimetres import depth_as_mm
from lightdepth_runtime.ros.messages.image import encode_depth


def test_every_millimetre_of_16_bits_comes_back_and_what_is_no_reading_is_zero():
    every = np.arange(65535, dtype=np.float32)[None] / np.float32(1000)
    np.testing.assert_array_equal(depth_as_mm(every)[0], np.arange(65535))
    none = np.array([[np.nan, np.inf, -np.inf, -1.0, 0.0, 0.0004, 65.535, 70.0]], np.float32)
    assert depth_as_mm(none).tolist() == [[0] * 8]
    assert depth_as_mm(np.array([[65.5344, 1.2346]], np.float32)).tolist() == [[65534, 1235]]


def test_ros_messages_hold_the_same_millimetres():
    depth_m = np.array([[70.0, 65.534], [1.2346, np.nan]], np.float32)
    message = encode_depth(depth_m, 0, "camera", "16UC1")
    assert message.data.view("<u2").tolist() == depth_as_mm(depth_m).ravel().tolist()
