import sys

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_file import read_depth_values
from lightdepth_runtime.pairs.depth_unit import DENSEDEPTH, decode_depth, parse_depth_unit


def write(path, values):
    assert cv2.imwrite(str(path), values)
    return path


def read_metres(path, unit=None):
    return decode_depth(read_depth_values(path, unit), unit)


def test_sixteen_bits_are_millimetres_however_small_the_values(tmp_path):
    path = write(tmp_path / "d.png", np.array([[0, 1, 255], [100, 2, 3]], np.uint16))
    for unit in (None, DENSEDEPTH):
        depth_m = read_metres(path, unit)
        assert depth_m.dtype == np.float32
        np.testing.assert_allclose(depth_m, [[0, 0.001, 0.255], [0.1, 0.002, 0.003]], rtol=1e-6)


def test_eight_bits_are_255_for_10_m_and_only_in_the_densedepth_packaging(tmp_path):
    path = write(tmp_path / "d.png", np.array([[0, 1, 127, 254, 255]], np.uint8))
    expected = [[0, 1.5 / 25.5, 127.5 / 25.5, 254.5 / 25.5, 0]]  # 0 no reading, 255 saturated
    np.testing.assert_allclose(read_metres(path, DENSEDEPTH), expected, rtol=1e-6)
    with pytest.raises(LightDepthError, match=r"8 bits a pixel, .* --depth-scale"):
        read_metres(path)


def test_every_eight_bit_step_is_within_half_a_step_of_what_was_encoded():
    truth_m = np.linspace(0.05, 9.9, 500).astype(np.float32)[None]
    stored = np.floor(truth_m * 25.5).astype(np.uint8)
    assert np.abs(decode_depth(stored, DENSEDEPTH) - truth_m).max() <= 0.5 / 25.5 + 1e-6


def test_a_coloured_picture_of_depth_is_refused(tmp_path):
    path = write(tmp_path / "d.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(LightDepthError, match="3 channels; a depth image has one"):
        read_metres(path, DENSEDEPTH)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello", "can't be decoded"), (b"\x89PNG\r\n\x1a\nrest", "truncated"), (None, "Can't read")],
)
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path, content, words):
    path = tmp_path / "d.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LightDepthError, match=words) as caught:
        read_metres(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_png_is_refused_rather_than_read_as_zeros(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0000_depth.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(LightDepthError, match="truncated"):
        read_metres(path)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".tif", ".exr"])
def test_float_depth_is_metres_and_what_is_no_distance_is_no_reading(tmp_path, suffix):
    values = np.float32([[1.5, 0.0, -1.0], [np.nan, np.inf, 72.25]])
    path = tmp_path / f"d{suffix}"
    if suffix == ".npy":
        np.save(path, values)
    elif suffix == ".npz":
        np.savez(path, depth=values, other=np.zeros(3))
    elif suffix == ".exr":
        write_exr(path, Z=values)
    else:
        write(path, values)
    np.testing.assert_array_equal(read_metres(path), np.float32([[1.5, 0, 0], [0, 0, 72.25]]))


def test_whole_numbers_in_numpy_are_millimetres_unless_declared(tmp_path):
    np.save(tmp_path / "d.npy", np.array([[[1500, -1]]], np.int32))
    np.testing.assert_array_equal(read_metres(tmp_path / "d.npy"), np.float32([[1.5, 0]]))
    np.testing.assert_array_equal(read_metres(tmp_path / "d.npy", parse_depth_unit("tum")), np.float32([[0.3, 0]]))


def test_eight_bits_are_read_where_their_unit_is_declared(tmp_path):
    path = write(tmp_path / "d.png", np.array([[0, 25, 255]], np.uint8))
    np.testing.assert_allclose(read_metres(path, parse_depth_unit("25")), [[0, 1, 10.2]], rtol=1e-6)


def test_arrays_of_several_names_and_of_text_are_refused(tmp_path):
    np.savez(tmp_path / "a.npz", left=np.zeros((2, 2)), right=np.zeros((2, 2)))
    np.save(tmp_path / "b.npy", np.array([["a", "b"]]))
    with pytest.raises(LightDepthError, match="holds left, right; call the array of depth 'depth'"):
        read_metres(tmp_path / "a.npz")
    with pytest.raises(LightDepthError, match="depth is whole numbers or floats"):
        read_metres(tmp_path / "b.npy")


def write_exr(path, **channels):
    openexr = pytest.importorskip("OpenEXR")
    header = {"compression": openexr.ZIP_COMPRESSION, "type": openexr.scanlineimage}
    with openexr.File(header, {name.replace("__", "."): values for name, values in channels.items()}) as file:
        file.write(str(path))
    return path


def test_depth_in_openexr_is_the_channel_z_or_what_all_channels_say(tmp_path):
    depth, color = np.float32([[1.5, 2]]), np.float32([[0.1, 0.2]])
    blender = write_exr(tmp_path / "a.exr", Layer__Combined__R=color, Layer__Depth__Z=depth)
    grey = write_exr(tmp_path / "b.exr", R=depth, G=depth, B=depth)
    half = write_exr(tmp_path / "c.exr", Y=depth.astype(np.float16))
    for path in (blender, grey, half):
        np.testing.assert_array_equal(read_metres(path), depth)
    with pytest.raises(LightDepthError, match=r"has the channels .*; name the one that holds depth 'Z'"):
        read_metres(write_exr(tmp_path / "d.exr", R=depth, G=color))


def test_a_damaged_openexr_file_is_refused_by_name(tmp_path):
    pytest.importorskip("OpenEXR")
    (tmp_path / "d.exr").write_bytes(b"\x76\x2f\x31\x01 no picture")
    with pytest.raises(LightDepthError, match=r"d\.exr can't be decoded as OpenEXR"):
        read_metres(tmp_path / "d.exr")


def test_openexr_without_its_library_names_the_library(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "OpenEXR", None)
    with pytest.raises(LightDepthError, match="pip install openexr"):
        read_metres(tmp_path / "d.exr")
