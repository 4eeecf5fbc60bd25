"""The three lines that robotics code embeds."""

import math
import shutil
import threading
import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, Intrinsics, LightDepthError, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.models import find as find_module
from lightdepth_runtime.models.find import SHIPPED_MODEL
from lightdepth_runtime.spec import DepthCalibration

TRAINED_AT = Intrinsics(518.858, 519.470, 325.582, 253.736, 640, 480)
SPEC = ModelSpec(name="fake", input_height=64, input_width=96, parameters=0, intrinsics=TRAINED_AT)


@pytest.fixture
def estimator():
    with DepthEstimator(FakeBackend(SPEC)) as estimator:
        yield estimator


def frame(*shape, seed=0):
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(480, 640, 3), (64, 96, 3), (65, 97), (1, 1, 3), (720, 1280, 4), (3, 20_000, 3)])
def test_depth_has_the_frames_resolution_in_float32(estimator, shape):
    depth_m = estimator(frame(*shape))
    assert depth_m.shape == shape[:2]
    assert depth_m.dtype == np.float32
    assert (depth_m > 0).all()


def test_depth_can_stay_at_the_models_resolution(estimator):
    image = frame(480, 640, 3)
    small = estimator(image, resolution="model")
    assert small.shape == (64, 96)
    with pytest.raises(LightDepthError, match="image or model, got 'half'"):
        estimator(image, resolution="half")


def test_bgr_frames_give_the_same_depth_to_the_bit(estimator):
    image = frame(48, 64, 3)
    np.testing.assert_array_equal(estimator(image[:, :, ::-1].copy(), channel_order="bgr"), estimator(image))


def test_results_belong_to_the_caller(estimator):
    for shape in ((48, 64, 3), (64, 96, 3)):  # resized, and passed through
        first = estimator(frame(*shape, seed=1))
        kept = first.copy()
        estimator(frame(*shape, seed=2))
        np.testing.assert_array_equal(first, kept)
        first += 1  # writable


def test_nothing_of_frame_size_is_allocated_but_the_result(estimator):
    image = frame(720, 1280, 3)
    estimator(image)
    for options in ({}, {"channel_order": "bgr"}, {"focal_px": 900.0}):
        tracemalloc.start()
        try:
            depth_m = estimator(image, **options)
            peak_bytes = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak_bytes < depth_m.nbytes + image.nbytes / 5  # the network's output is small here


def test_a_batch_is_its_frames_one_by_one(estimator):
    images = [frame(48, 64, 3, seed=1), frame(30, 40, seed=2)]
    for depth_m, image in zip(estimator.infer_batch(images), images, strict=True):
        np.testing.assert_array_equal(depth_m, estimator(image))
    assert estimator.infer_batch([]) == []


def test_threads_on_one_estimator_get_what_one_thread_gets(estimator):
    images = [frame(48 + i, 64 + i, 3, seed=i) for i in range(8)]
    expected = [estimator(image) for image in images]
    wrong = []

    def work(offset):
        for step in range(60):
            index = (step + offset) % len(images)
            if not np.array_equal(estimator(images[index]), expected[index]):
                wrong.append(index)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_next_frame_works_after_a_bad_one(estimator):
    image = frame(48, 64, 3)
    expected = estimator(image)
    for bad in (image.astype(np.float32), image[:0], None):
        with pytest.raises(LightDepthError):
            estimator(bad)
    np.testing.assert_array_equal(estimator(image), expected)


def test_a_closed_model_refuses_in_one_sentence():
    estimator = DepthEstimator(FakeBackend(SPEC))
    estimator.close()
    estimator.close()
    with pytest.raises(LightDepthError, match="closed"):
        estimator(frame(4, 4, 3))


def test_warm_up_runs_the_network(estimator):
    runs = []
    run = estimator.backend.run
    estimator.backend.run = lambda batch: runs.append(batch.shape) or run(batch)
    estimator.warm_up(3)
    assert runs == [(1, 3, 64, 96)] * 3


@pytest.mark.parametrize(
    ("focal_px", "shape", "factor"),
    [(518.858, (480, 640), 1), (1037.7, (480, 640), 2), (1037.7, (960, 1280), 1), (778.287, (480, 640), 1.5)],
)
def test_depth_scales_with_the_focal_length_in_parts_of_the_frame(estimator, focal_px, shape, factor):
    image = frame(*shape, 3)
    expected = estimator(image)
    np.testing.assert_allclose(estimator(image, focal_px=focal_px), expected * factor, rtol=1e-3)
    np.testing.assert_array_equal(estimator(image), expected)  # the next frame starts afresh


def test_a_camera_seen_half_its_height_counts_by_the_geometric_mean():
    assert TRAINED_AT.depth_factor(518.858, 240, 640) == pytest.approx(math.sqrt(2), rel=1e-3)


def test_focal_length_needs_a_model_that_knows_its_own(estimator):
    unknown = DepthEstimator(FakeBackend(SPEC.with_changes(intrinsics=None)))
    with pytest.raises(LightDepthError, match="doesn't say which focal length"):
        unknown(frame(4, 4, 3), focal_px=500.0)
    for bad in (0, -5, math.nan, math.inf):
        with pytest.raises(LightDepthError, match="positive number of pixels"):
            estimator(frame(4, 4, 3), focal_px=bad)


def test_intrinsics_come_from_a_field_of_view():
    camera = Intrinsics.from_field_of_view(90, 640, 480)
    assert camera.fx == pytest.approx(320)
    assert camera.fy == camera.fx
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    for bad in (0, 180, -3):
        with pytest.raises(LightDepthError, match="between 0 and 180"):
            Intrinsics.from_field_of_view(bad, 640, 480)


@pytest.mark.parametrize("name", ["k", "K"])
def test_intrinsics_come_from_a_ros_camera_info(name):
    matrix = np.array([500, 0, 320, 0, 501, 240, 0, 0, 1], float)
    message = SimpleNamespace(**{name: matrix}, width=640, height=480)
    assert Intrinsics.from_camera_info(message) == Intrinsics(500, 501, 320, 240, 640, 480)
    message = SimpleNamespace(**{name: matrix * 0}, width=640, height=480)  # what an uncalibrated camera says
    with pytest.raises(LightDepthError, match="positive focal lengths"):
        Intrinsics.from_camera_info(message)


def test_without_a_shipped_model_a_file_must_be_named(monkeypatch, tmp_path):
    monkeypatch.setattr(find_module, "SHIPPED_MODEL", tmp_path / "none.onnx")
    with pytest.raises(LightDepthError, match="ships no model"):
        DepthEstimator.load()


@pytest.mark.parametrize("resolution", ["image", "model"])
def test_a_backend_of_batches_gets_several_frames_at_once(monkeypatch, resolution):
    backend = FakeBackend(SPEC.with_changes(calibration=DepthCalibration(0.5)))
    estimator = DepthEstimator(backend)
    images = [frame(48 + i, 64, 3, seed=i) for i in range(6)] + [frame(64, 96, 3)]
    expected = [estimator(image, focal_px=300.0, resolution=resolution) for image in images]
    backend.largest_batch = 3
    runs = []
    run = backend.run
    monkeypatch.setattr(backend, "run", lambda batch: runs.append(len(batch)) or run(batch))
    for got, alone in zip(estimator.infer_batch(images, focal_px=300.0, resolution=resolution), expected, strict=True):
        np.testing.assert_allclose(got, alone, rtol=1e-6)
    assert runs == [3, 3, 1]


def test_batches_of_a_model_with_sigma_give_both_as_single_frames_do(monkeypatch):
    spec = SPEC.with_changes(sigma_tensor="sigma", calibration=DepthCalibration(0.5, sigma_factor=2.0))
    backend = FakeBackend(spec)
    estimator = DepthEstimator(backend)
    images = [frame(48 + i, 64, 3, seed=i) for i in range(5)]
    for resolution in ("image", "model"):
        monkeypatch.setattr(backend, "largest_batch", 1, raising=False)
        alone = estimator.predict_batch(images, resolution=resolution)
        monkeypatch.setattr(backend, "largest_batch", 2)
        for got, one in zip(estimator.predict_batch(images, resolution=resolution), alone, strict=True):
            np.testing.assert_allclose(got.depth_m, one.depth_m, rtol=1e-6)
            np.testing.assert_allclose(got.sigma, one.sigma, rtol=1e-6)
            assert got.sigma.base is None or got.sigma.base.size == got.sigma.size  # not a part of the batch


def test_files_and_pil_images_give_the_depth_of_their_arrays(tum):
    from PIL import Image

    path = next((tum / "freiburg3_cabinet").glob("*_rgb.jpg"))
    image = read_image(path)
    with DepthEstimator(FakeBackend()) as estimator:
        expected = estimator(image)
        for given in (path, str(path), Image.fromarray(image), Image.fromarray(image).convert("RGBA")):
            np.testing.assert_array_equal(estimator(given), expected)
        palette = Image.fromarray(image).convert("P")
        np.testing.assert_array_equal(estimator(palette), estimator(np.asarray(palette.convert("RGB"))))
        with pytest.raises(LightDepthError, match="'bgr' is for arrays"):
            estimator(path, channel_order="bgr")
        with pytest.raises(LightDepthError, match="got list"):
            estimator([[1, 2], [3, 4]])


def test_the_repr_says_which_model_runs_where():
    text = repr(DepthEstimator(FakeBackend()))
    assert all(word in text for word in ("DepthEstimator", "fake", "fp32", f"{FakeBackend().spec.input_width}x"))


def test_a_file_of_ones_own_is_named_with_the_model_that_it_is_of(tmp_path):
    copy = shutil.copy(SHIPPED_MODEL, tmp_path / "room.onnx")
    with DepthEstimator.load(copy) as own, DepthEstimator.load("lite0") as shipped:
        assert own.describe().startswith(f"lite0 ({copy}, fp32")
        assert shipped.describe().startswith("lite0 (fp32")
