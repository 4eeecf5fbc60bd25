"""Pictures of 10, 12 or 14 bits in 16: as bright as the same picture in 8 bits."""

import struct
import zlib

import cv2
import numpy as np
import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.images.bits import bits_in_use, eight_bits
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.preprocess import as_rgb, check_frame
from lightdepth_runtime.pairs import load_pairs


@pytest.fixture
def photo(tum):
    return load_pairs(tum, "test").pairs[0].read().image


def with_sbit(png, bits):
    """Add an sBIT chunk of three channels behind the PNG's header."""
    chunk = b"sBIT" + bytes([bits] * 3)
    return png[:33] + struct.pack(">I", 3) + chunk + struct.pack(">I", zlib.crc32(chunk)) + png[33:]


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_a_file_of_fewer_bits_is_the_plain_picture(photo, tmp_path, bits, suffix):
    values = photo.astype(np.uint16) << (bits - 8)
    path = tmp_path / f"a{suffix}"
    cv2.imwrite(str(path), values[:, :, ::-1])
    np.testing.assert_array_equal(read_image(path), photo)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_an_array_of_fewer_bits_has_the_plain_picture_s_depth(photo, bits):
    estimator = DepthEstimator(FakeBackend())
    values = photo.astype(np.uint16) << (bits - 8)
    np.testing.assert_array_equal(estimator(values), estimator(photo))
    opaque = np.dstack([values, np.full(values.shape[:2], 65535, np.uint16)])
    np.testing.assert_array_equal(estimator(opaque), estimator(photo))


def test_the_bits_that_a_png_declares_keep_a_dark_picture_dark(photo, tmp_path):
    dark = photo // 8
    for name, shift in (("as they are", 4), ("scaled up", 8)):  # as PNG's standard has it
        png = cv2.imencode(".png", dark[:, :, ::-1].astype(np.uint16) << shift)[1].tobytes()
        path = tmp_path / f"{name}.png"
        path.write_bytes(with_sbit(png, 12))
        np.testing.assert_array_equal(read_image(path), dark)


@pytest.mark.parametrize(("largest", "shift", "brighter"), [(4095, 4, 1), (1023, 2, 1), (65535, 4, 4)])
def test_the_largest_value_that_a_ppm_declares_keeps_a_dark_picture_dark(photo, tmp_path, largest, shift, brighter):
    dark = photo // 8
    height, width = dark.shape[:2]
    values = dark.astype(np.uint16) << shift
    path = tmp_path / "a.ppm"
    path.write_bytes(f"P6\n# by a camera\n{width} {height}\n{largest}\n".encode() + values.astype(">u2").tobytes())
    np.testing.assert_array_equal(read_image(path) // brighter, dark)  # 65535 stands in the header of any 16 bits


@pytest.mark.parametrize("mode", ["I;16", "I;16B", "I"])
def test_a_pillow_picture_of_sixteen_bits_is_not_cut_off_at_255(photo, mode):
    pillow, grey = pytest.importorskip("PIL.Image"), photo[:, :, 1]
    values = (grey.astype(np.uint16) << 4).astype({"I;16": "<u2", "I;16B": ">u2", "I": "<i4"}[mode])
    image = pillow.frombytes(mode, grey.shape[::-1], values.tobytes())
    np.testing.assert_array_equal(as_rgb(check_frame(image)), np.dstack([grey] * 3))


@pytest.mark.parametrize(("mode", "type_name"), [("F", "float32"), ("I", "int32")])
def test_a_pillow_picture_without_a_known_range_is_refused(mode, type_name):
    values = np.full((4, 4), -1, np.int32)
    image = pytest.importorskip("PIL.Image").frombytes(mode, (4, 4), values.tobytes())
    with pytest.raises(LightDepthError, match=type_name):
        check_frame(image)


def test_the_fewest_bits_in_which_all_values_fit_are_in_use():
    for largest, bits in ((0, 8), (255, 8), (256, 10), (1023, 10), (4095, 12), (4096, 14), (16383, 14), (16384, 16)):
        assert bits_in_use(np.array([[0, largest]], np.uint16)) == bits
    assert bits_in_use(np.array([[0, 300]], np.uint16), least=12) == 12
    assert eight_bits(np.array([[0, 4095]], np.uint16), 12).tolist() == [[0, 255]]


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 3)])
def test_a_picture_of_floats_is_refused_by_name(tmp_path, shape):
    path = tmp_path / "a.tiff"
    cv2.imwrite(str(path), np.ones(shape, np.float32))
    with pytest.raises(LightDepthError, match="whose range of brightness nothing tells"):
        read_image(path)
