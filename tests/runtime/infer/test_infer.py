"""Many images in, files out: what is written, and what one bad image does to the others."""

import cv2
import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.millimetres import depth_as_mm
from lightdepth_runtime.infer.infer import infer_files
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.sinks.open import parse_save


@pytest.fixture
def estimator():
    return DepthEstimator(FakeBackend(ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)))


@pytest.fixture
def photos(tum, tmp_path):
    """Three real frames: a.jpg, b.jpg, c.jpg."""
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, source in zip("abc", sorted(tum.rglob("*_rgb.jpg")), strict=False):
        (folder / f"{name}.jpg").write_bytes(source.read_bytes())
    return folder


def test_all_kinds_are_written_at_the_images_resolution_and_agree(estimator, photos, tmp_path):
    written = infer_files(estimator, plan_jobs([photos / "a.jpg"]), tmp_path / "new" / "out").paths
    assert [path.name for path in written] == ["a_depth.png", "a_depth_mm.png", "a_depth.npy"]
    image = read_image(photos / "a.jpg")
    depth_m = np.load(written[2])
    assert depth_m.dtype == np.float32
    np.testing.assert_array_equal(depth_m, estimator(image))
    millimetres = cv2.imread(str(written[1]), cv2.IMREAD_UNCHANGED)
    assert millimetres.dtype == np.uint16
    assert np.abs(millimetres / 1000 - depth_m).max() <= 0.000501  # rounded to the nearest, in float32
    picture = cv2.imread(str(written[0]))
    assert picture.shape[1] > image.shape[1]  # the scale stands beside it


def test_only_the_kinds_asked_for_are_written(estimator, photos, tmp_path):
    infer_files(estimator, plan_jobs([photos]), tmp_path / "out", save={"npy"})
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_depth.npy", "b_depth.npy", "c_depth.npy"]


def test_a_damaged_image_is_reported_and_the_others_are_written(estimator, photos, tmp_path):
    (photos / "b.jpg").write_bytes((photos / "b.jpg").read_bytes()[:2000])
    said = []
    with pytest.raises(LightDepthError, match=r"1 of 3 images failed \(.*b\.jpg\); the depth of the others is in"):
        infer_files(estimator, plan_jobs([photos]), tmp_path / "out", save={"npy"}, say=said.append)
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a_depth.npy", "c_depth.npy"]
    assert len(said) == 1
    assert "b.jpg is truncated" in said[0]


def test_many_failures_are_counted_and_a_few_named(estimator, tmp_path):
    for number in range(5):
        (tmp_path / f"{number}.png").write_bytes(b"no image")
    with pytest.raises(LightDepthError, match=r"5 of 5 images failed \(.*0.png, .*2.png and 2 more\); nothing"):
        infer_files(estimator, plan_jobs([tmp_path]), tmp_path / "out")


def test_a_single_bad_image_is_its_own_sentence(estimator, tmp_path):
    (tmp_path / "a.png").touch()
    with pytest.raises(LightDepthError, match=r"a\.png is empty"):
        infer_files(estimator, plan_jobs([tmp_path / "a.png"]), tmp_path / "out")


def test_depth_that_is_not_finite_is_never_written(photos, tmp_path):
    class Overflowing(FakeBackend):
        def run(self, batch):
            return np.where(batch[:, :1] > 0, np.float32(np.inf), super().run(batch))

    with pytest.raises(LightDepthError, match=r"a\.jpg.*NaN or infinite"):
        infer_files(DepthEstimator(Overflowing()), plan_jobs([photos / "a.jpg"]), tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_output_folder_that_cannot_be_written_is_told_before_any_work(photos, tmp_path):
    class Refusing(FakeBackend):
        def run(self, batch):
            raise AssertionError("inference began")

    (tmp_path / "file").touch()
    with pytest.raises(LightDepthError, match="Can't write"):
        infer_files(DepthEstimator(Refusing()), plan_jobs([photos]), tmp_path / "file" / "out")


def test_an_input_is_never_written_over(estimator, photos):
    (photos / "a_depth.png").write_bytes((photos / "a.jpg").read_bytes())
    before = (photos / "a_depth.png").read_bytes()
    jobs = plan_jobs([photos / "a.jpg", photos / "a_depth.png"])
    with pytest.raises(LightDepthError, match="over the input"):
        infer_files(estimator, jobs, photos)
    assert (photos / "a_depth.png").read_bytes() == before


def test_a_common_scale_makes_equal_depth_equal_colour(estimator, photos, tmp_path):
    from lightdepth_runtime.sinks.colorize import DepthRange, colorize
    from lightdepth_runtime.sinks.open import Style

    scale = DepthRange(0.5, 9.0)
    style = Style(scale=scale)
    written = infer_files(estimator, plan_jobs([photos]), tmp_path / "out", save={"png", "npy"}, style=style).paths
    for picture, array in zip(written[::2], written[1::2], strict=True):
        depth_m = np.load(array)
        shown = cv2.imread(str(picture))[: depth_m.shape[0], : depth_m.shape[1], ::-1]
        np.testing.assert_array_equal(shown, colorize(depth_m, "plasma", scale))


def test_millimetres_are_rounded_and_what_16_bits_cannot_hold_is_no_reading():
    assert depth_as_mm(np.float32([[0.0014, 0.0016, 2.0, 70.0]])).tolist() == [[1, 2, 2000, 0]]


def test_save_kinds_are_read_and_unknown_ones_refused():
    assert parse_save("png, npy") == {"png", "npy"}
    for bad in ("jpg", "", "png,exr"):
        with pytest.raises(LightDepthError, match="png, png16, npy"):
            parse_save(bad)
