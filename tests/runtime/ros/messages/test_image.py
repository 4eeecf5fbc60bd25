"""Image messages to arrays and back, for every encoding that is taken and some that are not."""

from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit
from lightdepth_runtime.ros import decode_color, decode_depth, encode_depth, stamp_ns
from lightdepth_runtime.ros.messages.image import color_bits


@pytest.fixture
def frame(tum):
    return load_pairs(tum, "train").pairs[0].read()


def message(pixels, encoding, *, padding=0, big_endian=False):
    pixels = np.ascontiguousarray(pixels)
    if big_endian:
        pixels = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = pixels.reshape(len(pixels), -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
    return SimpleNamespace(
        height=len(pixels),
        width=pixels.shape[1],
        encoding=encoding,
        is_bigendian=int(big_endian),
        step=rows.shape[1],
        data=rows.tobytes(),
    )


def compressed(content, kind):
    return SimpleNamespace(format=kind, data=np.frombuffer(content, np.uint8))


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "channels"),
    [("rgb8", [0, 1, 2]), ("bgr8", [2, 1, 0]), ("rgba8", [0, 1, 2, 0]), ("bgra8", [2, 1, 0, 0])],
)
def test_each_color_encoding_gives_the_same_rgb(frame, encoding, channels, padding):
    decoded = decode_color(message(frame.image[:, :, channels], encoding, padding=padding))
    assert decoded.dtype == np.uint8
    np.testing.assert_array_equal(decoded, frame.image)


@pytest.mark.parametrize("encoding", ["8UC3", "bgr16", "16UC3", "rgb16", "rgba16"])
def test_opencvs_encodings_are_bgr_and_16_bits_are_cut_to_8(frame, encoding):
    pixels = frame.image if encoding.startswith("rgb") else frame.image[:, :, ::-1]
    pixels = np.dstack([pixels, np.full(pixels.shape[:2], 255)]) if encoding == "rgba16" else pixels
    if "16" in encoding:
        pixels = pixels.astype(np.uint16) * 257
    np.testing.assert_array_equal(decode_color(message(pixels.astype(pixels.dtype), encoding)), frame.image)


@pytest.mark.parametrize("pattern", ["rggb", "bggr", "gbrg", "grbg"])
@pytest.mark.parametrize("bits", [8, 16])
def test_a_bayer_mosaic_becomes_the_colours_it_was_made_of(pattern, bits):
    color = np.array([200, 90, 30], np.uint16)
    tile = np.array([color["rgb".index(letter)] for letter in pattern]).reshape(2, 2)
    mosaic = np.tile(tile, (8, 10)) * (257 if bits == 16 else 1)
    pixels = mosaic.astype(np.uint8 if bits == 8 else np.uint16)[:, :, None]
    found = decode_color(message(pixels, f"bayer_{pattern}{bits}"))
    assert found.shape == (16, 20, 3)
    np.testing.assert_array_equal(found[4:-4, 4:-4], np.broadcast_to(color, (8, 12, 3)))


@pytest.mark.parametrize(("encoding", "luma"), [("yuv422", 1), ("uyvy", 1), ("yuv422_yuy2", 0), ("yuyv", 0)])
def test_both_orders_of_yuv_are_the_picture(encoding, luma):
    yuv = np.empty((4, 8, 2), np.uint8)
    yuv[:, :, luma] = 81
    yuv[:, ::2, 1 - luma], yuv[:, 1::2, 1 - luma] = 90, 240  # U and V of pure red
    found = decode_color(message(yuv, encoding)).reshape(-1, 3)
    assert np.abs(found.astype(int) - [254, 0, 0]).max() < 4
    with pytest.raises(LightDepthError, match="7x4 pixels can't be"):
        decode_color(message(yuv[:, :7], encoding))


def test_mono16_is_a_picture_or_millimetres_as_its_topic_is(frame):
    grey = frame.image[:, :, 0]
    assert (decode_color(message(grey.astype(np.uint16) * 16, "mono16")) == grey[:, :, None]).all()
    millimetres = np.rint(frame.depth_m * 1000).astype(np.uint16)
    np.testing.assert_array_equal(decode_depth(message(millimetres, "mono16")), frame.depth_m)
    quarter = decode_depth(message(millimetres, "mono16"), unit=parse_depth_unit("realsense-l515"))
    np.testing.assert_allclose(quarter, frame.depth_m / 4, rtol=1e-6)


def test_mono8_is_repeated_to_three_channels(frame):
    decoded = decode_color(message(frame.image[:, :, 1], "mono8", padding=3))
    np.testing.assert_array_equal(decoded, np.repeat(frame.image[:, :, 1:2], 3, axis=2))


def test_the_last_row_may_lack_its_padding(frame):
    padded = message(frame.image, "rgb8", padding=5)
    padded.data = padded.data[:-5]
    np.testing.assert_array_equal(decode_color(padded), frame.image)


def test_a_compressed_image_is_decoded_as_its_file_is(frame):
    content = cv2.imencode(".png", frame.image[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_color(compressed(content, "rgb8; png compressed bgr8")), frame.image)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_compressed_bayer_mosaic_becomes_colours_and_a_converted_one_stays(frame, bits):
    shape = f"bayer_rggb{bits}; png compressed "
    mosaic = np.zeros((16, 20), np.uint8 if bits == 8 else np.uint16)
    mosaic[0::2, 0::2], mosaic[1::2, 1::2], mosaic[0::2, 1::2], mosaic[1::2, 0::2] = 200, 30, 90, 90
    content = cv2.imencode(".png", mosaic)[1].tobytes()
    np.testing.assert_array_equal(decode_color(compressed(content, shape))[8, 8], [200, 90, 30])
    content = cv2.imencode(".png", frame.image[:, :, ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_color(compressed(content, f"{shape}bgr8")), frame.image)


def test_dark_compressed_frames_of_16_bits_are_cut_like_the_ones_before(frame):
    bright, dark = (
        compressed(cv2.imencode(".png", pixels.astype(np.uint16) << 4)[1].tobytes(), "mono16; png compressed ")
        for pixels in (frame.image[:, :, 0], frame.image[:, :, 0] // 8)
    )
    bits = color_bits(bright)
    assert (bits, color_bits(dark), color_bits(dark, least=bits)) == (12, 10, 12)
    np.testing.assert_array_equal(decode_color(dark, bits=bits)[:, :, 0], frame.image[:, :, 0] // 8)


@pytest.mark.parametrize("shape", ["16UC1; compressedDepth png", "32FC1; compressedDepth", "16UC1; png compressed "])
def test_compressed_depth_is_no_colour_and_video_is_named(frame, shape):
    with pytest.raises(LightDepthError, match=r"it is depth. Choose the colour camera's topic"):
        decode_color(compressed(b"\x89PNG", shape))
    with pytest.raises(LightDepthError, match="of the format 'h264' can't be decoded"):
        decode_color(compressed(b"\0\0\0\1", "h264"))


def test_a_truncated_jpeg_is_refused_and_named(tum):
    content = load_pairs(tum, "train").pairs[0].color_path.read_bytes()
    with pytest.raises(LightDepthError, match="frame 7 is truncated"):
        decode_color(compressed(content[: len(content) // 2], "jpeg"), "frame 7")
    with pytest.raises(LightDepthError, match="frame 7 is empty"):
        decode_color(compressed(b"", "jpeg"), "frame 7")


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("padding", [0, 6])
def test_16uc1_is_millimetres_in_either_byte_order(frame, big_endian, padding):
    millimetres = np.rint(frame.depth_m * 1000).astype(np.uint16)
    decoded = decode_depth(message(millimetres, "16UC1", padding=padding, big_endian=big_endian))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, frame.depth_m)


@pytest.mark.parametrize("big_endian", [False, True])
def test_32fc1_is_metres_and_what_is_no_distance_becomes_0(frame, big_endian):
    values = frame.depth_m.copy()
    values[0, :4] = np.nan, np.inf, -np.inf, -1
    expected = frame.depth_m.copy()
    expected[0, :4] = 0
    decoded = decode_depth(message(values, "32FC1", big_endian=big_endian))
    assert decoded.dtype == np.float32
    np.testing.assert_array_equal(decoded, expected)


def test_compressed_depth_is_the_png_behind_its_header(frame):
    millimetres = np.rint(frame.depth_m * 1000).astype(np.uint16)
    png = cv2.imencode(".png", millimetres)[1].tobytes()
    decoded = decode_depth(compressed(bytes(12) + png, "16UC1; compressedDepth png"))
    np.testing.assert_array_equal(decoded, frame.depth_m)


@pytest.mark.parametrize("encoding", ["nv21", "bayer", "rgb", ""])
def test_other_encodings_are_refused_by_name(frame, encoding):
    with pytest.raises(LightDepthError, match=f"encoding '{encoding}'; colour images need rgb8, bgr8"):
        decode_color(message(frame.image, encoding))


def test_depth_is_no_color_image(frame):
    with pytest.raises(LightDepthError, match="'16UC1'; it is depth"):
        decode_color(message(frame.image, "16UC1"))


def test_depth_of_a_color_encoding_is_refused(frame):
    with pytest.raises(LightDepthError, match="'rgb8'; depth needs 16UC1"):
        decode_depth(message(frame.image, "rgb8"))


@pytest.mark.parametrize("change", [{"step": 10}, {"height": 121}, {"width": 0, "step": 0}, {"data": b""}])
def test_sizes_that_the_data_does_not_hold_are_refused(frame, change):
    damaged = message(frame.image, "rgb8")
    vars(damaged).update(change)
    with pytest.raises(LightDepthError, match="is damaged"):
        decode_color(damaged)


def test_depth_comes_back_from_both_encodings(frame):
    for encoding in ("32FC1", "16UC1"):
        fields = encode_depth(frame.depth_m, 12, "camera", encoding)
        fields = SimpleNamespace(**vars(fields), is_bigendian=0)
        assert (fields.stamp_ns, fields.frame_id, fields.height, fields.width) == (12, "camera", 120, 160)
        np.testing.assert_array_equal(decode_depth(fields), frame.depth_m)


def test_16uc1_has_no_reading_beyond_its_range():
    fields = encode_depth(np.array([[1.2344, 65.534, 65.535, np.nan, np.inf, -1]], np.float32), 0, "", "16UC1")
    assert fields.data.view("<u2").tolist() == [1234, 65534, 0, 0, 0, 0]


def test_a_stamp_keeps_its_nanoseconds_in_ros_1_and_2():
    ros2 = SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(sec=1_700_000_000, nanosec=123_456_789)))
    ros1 = SimpleNamespace(header=SimpleNamespace(stamp=SimpleNamespace(secs=1_700_000_000, nsecs=123_456_789)))
    assert stamp_ns(ros2) == stamp_ns(ros1) == 1_700_000_000_123_456_789
