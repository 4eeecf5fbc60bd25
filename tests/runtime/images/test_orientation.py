"""Pictures stand upright whichever way their file says it, and depth is turned with its colour."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.exif import orientation_of, turned
from lightdepth_runtime.pairs.file_pair import FilePair

ORIENTATIONS = range(1, 9)


@pytest.fixture
def photo():
    """Four patches, all different, 48x32."""
    patches = np.array([[[250, 10, 10], [10, 250, 10]], [[10, 10, 250], [240, 240, 240]]], np.uint8)
    return patches.repeat(16, axis=0).repeat(24, axis=1)


def save(photo, path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(photo).save(path, exif=exif, quality=95, subsampling="4:4:4")
    return path


@pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_every_orientation_of_every_format_is_read_upright(photo, tmp_path, suffix, orientation):
    path = save(photo, tmp_path / f"a.{suffix}", orientation)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    image = read_image(path)
    assert image.shape == upright.shape
    assert np.abs(image.astype(int) - upright).max() < 12  # two decoders
    assert orientation_of(path.read_bytes()) == orientation
    np.testing.assert_array_equal(turned(photo, orientation).shape, upright.shape)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_depth_of_a_pair_is_turned_with_its_colour(photo, tmp_path, orientation):
    color, depth = save(photo, tmp_path / "a.jpg", orientation), tmp_path / "a_depth.png"
    cv2.imwrite(str(depth), photo[:, :, 0].astype(np.uint16) * 10)  # as the sensor saw it, like the colour
    frame = FilePair("a", "s", color, depth).read()
    assert frame.image.shape[:2] == frame.depth_m.shape
    assert np.abs(frame.image[:, :, 0] - frame.depth_m * 100).max() < 12


def test_depth_that_stands_upright_already_stays(photo, tmp_path):
    color, depth = save(photo, tmp_path / "a.jpg", 6), tmp_path / "a_depth.png"
    cv2.imwrite(str(depth), turned(photo[:, :, 0].astype(np.uint16) * 10, 6))
    frame = FilePair("a", "s", color, depth).read()
    assert np.abs(frame.image[:, :, 0] - frame.depth_m * 100).max() < 12


def test_depth_as_its_own_colour_is_refused_in_whatever_file_it_stands(photo, tmp_path):
    depth = photo[:, :, 0].astype(np.uint16) * 30
    for name in ("a.png", "copy.png", "again.tiff", "again.pgm"):
        cv2.imwrite(str(tmp_path / name), depth)
    np.save(tmp_path / "a.npy", depth)
    for color, of in (("a.png", "a.png"), ("copy.png", "a.png"), ("again.tiff", "a.png"), ("again.pgm", "a.npy")):
        with pytest.raises(LightDepthError, match="its own colour image"):
            FilePair("a", "s", tmp_path / color, tmp_path / of).read()


def test_a_grey_photograph_is_no_depth_nor_is_a_black_one_without_a_reading(photo, tmp_path):
    cv2.imwrite(str(tmp_path / "grey.png"), photo[:, :, 0])
    cv2.imwrite(str(tmp_path / "grey_depth.png"), photo[:, :, 1].astype(np.uint16) * 30)
    assert FilePair("a", "s", tmp_path / "grey.png", tmp_path / "grey_depth.png").read().depth_m.any()
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(tmp_path / "none.png"), np.zeros((4, 4), np.uint16))
    assert not FilePair("b", "s", tmp_path / "black.png", tmp_path / "none.png").read().depth_m.any()


def test_colour_is_brought_to_the_size_of_smaller_registered_depth(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.full((968, 1296, 3), 90, np.uint8))  # ScanNet's sizes
    cv2.imwrite(str(tmp_path / "a_depth.png"), np.full((480, 640), 900, np.uint16))
    frame = FilePair("a", "s", tmp_path / "a.png", tmp_path / "a_depth.png").read()
    assert frame.image.shape == (480, 640, 3)
    cv2.imwrite(str(tmp_path / "b.png"), np.full((720, 1280, 3), 90, np.uint8))  # a RealSense's, not registered
    cv2.imwrite(str(tmp_path / "b_depth.png"), np.full((480, 848), 900, np.uint16))
    with pytest.raises(LightDepthError, match="848x480 but its image is 1280x720"):
        FilePair("b", "s", tmp_path / "b.png", tmp_path / "b_depth.png").read()


def test_depth_that_lies_on_its_side_is_told_from_depth_that_is_not_registered(photo, tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), photo)
    cv2.imwrite(str(tmp_path / "a_depth.png"), np.full((24, 16), 900, np.uint16))
    with pytest.raises(LightDepthError, match="is 16x24 but its image is 48x32; turn one of the two"):
        FilePair("a", "s", tmp_path / "a.png", tmp_path / "a_depth.png").read()
