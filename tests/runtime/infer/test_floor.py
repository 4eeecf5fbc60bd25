import numpy as np
import pytest
from fakes.rooms import CAMERA, room_m

from lightdepth_runtime import CameraMount, Frame, LightDepthError, ModelSpec
from lightdepth_runtime.infer.infer import infer_files, infer_stream
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.infer.plan import plan_inputs, run_plan
from lightdepth_runtime.scale import FloorScale
from lightdepth_runtime.sinks.open import Style, encode_png
from lightdepth_runtime.sinks.sink import FrameSink

MOUNT = CameraMount(0.5, 15.0)
IMAGE = np.zeros((120, 160, 3), np.uint8)
ROOM_M = room_m(MOUNT)


class _Says:
    """An estimator that says given depths in turn."""

    spec = ModelSpec("given", 64, 96, 0)

    def __init__(self, *depths_m):
        self._depths_m = iter(depths_m)

    def __call__(self, image, *, focal_px=None):
        return next(self._depths_m).copy()

    def depth_and_sigma(self, image, *, focal_px=None):
        return self(image), None


class _Kept(FrameSink):
    def __init__(self):
        self.depths_m = []

    def write(self, done):
        self.depths_m.append(done.depth_m)
        return []


def test_a_stream_gets_the_floors_scale_and_says_once_where_there_is_none():
    wall_m = room_m(MOUNT, 2.0, floor=False)
    estimator, kept, said = _Says(ROOM_M / np.float32(1.4), wall_m, wall_m), _Kept(), []
    frames = [Frame(IMAGE, number * 10**8, f"f{number}", CAMERA) for number in range(3)]
    infer_stream(estimator, frames, [kept], floor=FloorScale(MOUNT), say=said.append)
    np.testing.assert_allclose(kept.depths_m[0], ROOM_M, rtol=0.03)
    np.testing.assert_allclose(kept.depths_m[2], 1.4 * wall_m, rtol=0.03)
    assert len(said) == 1
    assert "f1: No floor" in said[0]


def test_an_image_without_a_floor_fails_and_one_with_it_is_corrected(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(IMAGE))
    jobs, lens = plan_jobs([path], tmp_path / "out"), Lens(focal_px=CAMERA.fx)
    options = {"save": ["npy"], "style": Style(mount=MOUNT), "scale_from_floor": True, "lens": lens}
    with pytest.raises(LightDepthError, match="No floor"):
        infer_files(_Says(room_m(MOUNT, 2.0, floor=False)), jobs, tmp_path / "out", **options)
    infer_files(_Says(ROOM_M / np.float32(1.4)), jobs, tmp_path / "out", **options)
    np.testing.assert_allclose(np.load(tmp_path / "out" / "a_depth.npy"), ROOM_M, rtol=0.03)


def test_the_floor_needs_the_cameras_height_and_the_camera(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(encode_png(IMAGE))
    plan = plan_inputs([str(path)], tmp_path / "out", None, Lens())
    with pytest.raises(LightDepthError, match="--camera-height"):
        run_plan(_Says(), plan, scale_from_floor=True)
    with pytest.raises(LightDepthError, match="--focal-px"):
        run_plan(_Says(ROOM_M), plan, mount=MOUNT, scale_from_floor=True)
