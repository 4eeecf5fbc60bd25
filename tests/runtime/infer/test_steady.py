import numpy as np

from lightdepth_runtime import DepthEstimator, FakeBackend, Frame
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.sinks.sink import FrameSink


class _Kept(FrameSink):
    def __init__(self):
        self.depths_m = []

    def write(self, done):
        self.depths_m.append(done.depth_m)
        return []


def test_a_stream_is_smoothed_where_asked_for():
    rng = np.random.default_rng(0)
    base = np.repeat(np.repeat(rng.integers(60, 190, (12, 16, 3)), 10, axis=0), 10, axis=1)
    frames = [
        Frame((base + rng.integers(-9, 9, base.shape)).astype(np.uint8), number * 33_333_333, str(number))
        for number in range(12)
    ]
    change = {}
    for steady in (False, True):
        kept = _Kept()
        infer_stream(DepthEstimator(FakeBackend()), frames, [kept], steady=steady)
        assert len(kept.depths_m) == 12
        change[steady] = np.mean([np.abs(np.diff(np.log(kept.depths_m[5:]), axis=0))])
    assert change[True] < change[False] / 2
