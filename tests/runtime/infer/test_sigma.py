"""Sigma in the files of `infer`: written, and deciding which pixels become points and recorded depth."""

import cv2
import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, Intrinsics, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.frames.frame import Frame
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.infer.infer import infer_stream
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.infer.plan import plan_inputs, run_plan
from lightdepth_runtime.sinks.open import Style, open_sinks
from lightdepth_runtime.sinks.sink import FrameSink
from lightdepth_runtime.spec import DepthCalibration

CAMERA = Intrinsics(120.0, 130.0, 79.5, 59.5, 160, 120)
SPEC = ModelSpec("fake", 64, 96, 0, intrinsics=CAMERA)
SURE = SPEC.with_changes(sigma_tensor="sigma", calibration=DepthCalibration(1.0, sigma_factor=1.5))


@pytest.fixture
def estimator():
    return DepthEstimator(FakeBackend(SURE))


@pytest.fixture
def photo(tum, tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(next(tum.rglob("*_rgb.jpg")).read_bytes())
    return path


def infer(estimator, photo, save, **options):
    output = photo.parent / "out"
    return run_plan(estimator, plan_inputs([str(photo)], output, frozenset(save), Lens()), **options).paths


def points_in(path):
    content = path.read_bytes()
    return int(content.split(b"element vertex ")[1].split(b"\n")[0])


def test_sigma_is_a_picture_with_a_scale_and_an_array_with_the_calibrations_factor(estimator, photo):
    picture, array = infer(estimator, photo, {"sigma"})
    assert (picture.name, array.name) == ("a_sigma.png", "a_sigma.npy")
    image = read_image(photo)
    sigma = np.load(array)
    assert sigma.dtype == np.float32
    np.testing.assert_array_equal(sigma, estimator.predict(image).sigma)
    np.testing.assert_allclose(sigma, 0.15 * estimator(image), rtol=1e-5)
    drawn = cv2.imread(str(picture))
    assert drawn.shape[1] > image.shape[1]  # the scale stands beside it
    brightness = drawn[: image.shape[0], : image.shape[1]].sum(axis=2, dtype=int)
    assert brightness[sigma < np.quantile(sigma, 0.2)].mean() > brightness[sigma > np.quantile(sigma, 0.8)].mean()


def test_pictures_of_sigma_are_no_photographs(estimator, photo):
    [picture, _] = infer(estimator, photo, {"sigma"})
    assert [job.path for job in plan_jobs([photo.parent])] == [photo]
    assert [job.path for job in plan_jobs([picture])] == [picture]  # named itself, a file is taken


def test_points_of_unsure_pixels_are_left_out(estimator, photo):
    sigma = estimator.predict(read_image(photo)).sigma
    counts = {}
    for name, options in (("default", {}), ("strict", {"max_sigma": 0.2}), ("all", {"max_sigma": float("inf")})):
        [path] = infer(estimator, photo, {"ply"}, **options)
        counts[name] = points_in(path)
    assert counts == {
        "default": np.count_nonzero(sigma <= 0.4),
        "strict": np.count_nonzero(sigma <= 0.2),
        "all": sigma.size,
    }
    assert 0 < counts["strict"] < counts["default"] <= counts["all"]


@pytest.mark.parametrize(("kind", "dtype"), [("bag", "<f4"), ("bag16", "<u2")])
def test_recorded_depth_has_no_reading_where_the_model_is_unsure(estimator, photo, kind, dtype):
    pytest.importorskip("rosbags")
    from lightdepth_runtime.ros import Recording

    image = read_image(photo)
    sinks = open_sinks({kind}, photo.parent / "out", "clip", Style(max_sigma=0.25))
    frame = Frame(image, 1_000_000_000, "a", CAMERA.scaled_to(*image.shape[1::-1]))
    [path] = infer_stream(estimator, [frame], sinks).paths
    with Recording(path) as recording:
        [message] = [item.message for item in recording.images(["/lightdepth/depth/image_rect"])]
    values = np.frombuffer(message.data, dtype).reshape(image.shape[:2])
    is_missing = np.isnan(values) if dtype == "<f4" else values == 0
    sigma = estimator.predict(image).sigma
    np.testing.assert_array_equal(is_missing, sigma > 0.25)
    assert 0 < is_missing.mean() < 1


def test_a_model_without_sigma_is_refused_where_sigma_is_asked_for_and_gives_all_points(photo):
    estimator = DepthEstimator(FakeBackend(SPEC))
    for save, options in (({"sigma"}, {}), ({"ply"}, {"max_sigma": 0.4})):
        with pytest.raises(LightDepthError, match="fake gives depth without sigma"):
            infer(estimator, photo, save, **options)
    assert not (photo.parent / "out").exists()
    [path] = infer(estimator, photo, {"ply"})
    assert points_in(path) == np.prod(read_image(photo).shape[:2])


class _OwnSink(FrameSink):
    """A sink of somebody's own."""

    def __init__(self, wants_sigma):
        self.wants_sigma, self.frames = wants_sigma, []

    def write(self, done):
        self.frames.append(done)
        return []


@pytest.mark.parametrize("wants_sigma", [True, False])
def test_a_sink_of_ones_own_gets_sigma_where_it_wants_it(estimator, photo, wants_sigma):
    sink = _OwnSink(wants_sigma)
    infer_stream(estimator, [Frame(read_image(photo), 0, "a")], [sink])
    [done] = sink.frames
    assert (done.sigma is not None) == wants_sigma
    assert done.depth_m.shape == done.frame.image.shape[:2]
