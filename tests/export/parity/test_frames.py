from pathlib import Path

import numpy as np
import pytest

from lightdepth_export.parity.frames import check_frames, read_frames
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.opencv import import_cv2
from lightdepth_runtime.pairs import FrameData, PairSet


class ArrayPair:
    """A pair held in memory."""

    def __init__(self, frame):
        self.name, self.scene, self.frame = frame.name, "scene", frame

    def read(self):
        return FrameData(self.frame.image, self.frame.depth_m)


def test_pairs_come_with_their_ground_truth(frames):
    pairs = PairSet("test", Path("recordings"), "test", [ArrayPair(frame) for frame in frames])
    got = list(read_frames(pairs))
    assert [frame.name for frame in got] == [frame.name for frame in frames]
    np.testing.assert_array_equal(got[1].depth_m, frames[1].depth_m)


def test_image_files_come_without(frames, tmp_path):
    path = tmp_path / "a.png"
    import_cv2().imwrite(str(path), frames[0].image[:, :, ::-1])
    (got,) = read_frames([path])
    assert (got.name, got.depth_m) == ("a.png", None)
    np.testing.assert_array_equal(got.image, frames[0].image)


def test_a_limit_spreads_over_the_whole(make_frames):
    pairs = PairSet("test", Path("r"), "test", [ArrayPair(frame) for frame in make_frames(10)])
    assert [frame.name for frame in read_frames(pairs, limit=3)] == ["frame-0", "frame-4", "frame-9"]


def test_no_images_are_refused_before_any_work():
    with pytest.raises(LightDepthError, match="got none"):
        check_frames([])
