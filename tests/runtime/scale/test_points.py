import numpy as np
import pytest

from lightdepth_runtime import Intrinsics
from lightdepth_runtime.scale import KnownPoints, axis_depth_m

CAMERA = Intrinsics(100.0, 100.0, 49.5, 49.5, 100, 100)


def test_points_of_any_kind_of_sequence_are_read():
    known = KnownPoints.read(np.array([[1, 2, 3.5], [4, 5, 6.5]], np.float32), 10, 10)
    assert len(known) == 2
    assert known.depth_m.tolist() == [3.5, 6.5]
    assert len(KnownPoints.read(known, 10, 10)) == 2
    assert len(KnownPoints.read([], 10, 10)) == 0


def test_a_range_is_shortened_to_depth_along_the_axis():
    x, y = CAMERA.cx + 100, CAMERA.cy  # 45 degrees from the axis
    assert axis_depth_m(2.0, x, y, CAMERA) == pytest.approx(2 / np.sqrt(2))
    assert axis_depth_m(2.0, CAMERA.cx, CAMERA.cy, CAMERA) == pytest.approx(2)
