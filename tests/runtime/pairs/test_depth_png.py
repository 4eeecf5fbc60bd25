import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_png import decode_dense_depth_8bit, decode_millimetres, read_depth_png


def write(path, values):
    assert cv2.imwrite(str(path), values)
    return path


def test_sixteen_bits_are_millimetres_however_small_the_values(tmp_path):
    path = write(tmp_path / "d.png", np.array([[0, 1, 255], [100, 2, 3]], np.uint16))
    for rule in ("millimetres", "densedepth"):
        depth_m = read_depth_png(path, rule)
        assert depth_m.dtype == np.float32
        np.testing.assert_allclose(depth_m, [[0, 0.001, 0.255], [0.1, 0.002, 0.003]], rtol=1e-6)


def test_eight_bits_are_255_for_10_m_and_only_in_the_densedepth_packaging(tmp_path):
    path = write(tmp_path / "d.png", np.array([[0, 1, 127, 254, 255]], np.uint8))
    expected = [[0, 1.5 / 25.5, 127.5 / 25.5, 254.5 / 25.5, 0]]  # 0 no reading, 255 saturated
    np.testing.assert_allclose(read_depth_png(path, "densedepth"), expected, rtol=1e-6)
    with pytest.raises(LightDepthError, match="8 bits a pixel; this packaging needs 16-bit"):
        read_depth_png(path, "millimetres")


def test_every_eight_bit_step_is_within_half_a_step_of_what_was_encoded():
    truth_m = np.linspace(0.05, 9.9, 500).astype(np.float32)[None]
    stored = np.floor(truth_m * 25.5).astype(np.uint8)
    assert np.abs(decode_dense_depth_8bit(stored) - truth_m).max() <= 0.5 / 25.5 + 1e-6


def test_millimetres_keep_the_ends_of_their_range():
    np.testing.assert_array_equal(decode_millimetres(np.array([0, 65535], np.uint16)), np.float32([0, 65.535]))


def test_a_coloured_picture_of_depth_is_refused(tmp_path):
    path = write(tmp_path / "d.png", np.zeros((4, 5, 3), np.uint8))
    with pytest.raises(LightDepthError, match="3 channels; a depth PNG has one"):
        read_depth_png(path, "densedepth")


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"hello", "can't be decoded"), (b"\x89PNG\r\n\x1a\nrest", "truncated"), (None, "Can't read")],
)
def test_a_damaged_file_is_one_sentence_that_names_it(tmp_path, content, words):
    path = tmp_path / "d.png"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(LightDepthError, match=words) as caught:
        read_depth_png(path, "millimetres")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_truncated_png_is_refused_rather_than_read_as_zeros(tum_copy):
    path = tum_copy / "freiburg3_cabinet" / "0000_depth.png"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(LightDepthError, match="truncated"):
        read_depth_png(path, "millimetres")
