"""Files and arrays become the network's input by one documented rule each, or are refused in one sentence."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image, ImageOps

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.images.preprocess import (
    FrameBuffers,
    as_rgb,
    check_frame,
    preprocess,
    resize_depth,
    resize_rgb,
)
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.spec import ModelSpec

SPEC = ModelSpec(name="test", input_height=64, input_width=96, parameters=0)
JPEG_TOLERANCE = 6  # of 255: decoders differ in how they round colours
TABLE_TOLERANCE = 2e-7  # float32 rounding of values below 3


@pytest.fixture
def photo(tum):
    return Image.open(next(tum.rglob("*_rgb.jpg"))).convert("RGB")


def save(image, path, **options):
    image.save(path, **options)
    return path


def largest_difference(image, other):
    return np.abs(image.astype(int) - np.asarray(other.convert("RGB")).astype(int)).max()


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "P", "1", "RGBA"])
def test_png_of_every_mode_is_rgb(photo, tmp_path, mode):
    image = photo.convert(mode)
    read = read_image(save(image, tmp_path / "a.png"))
    assert read.dtype == np.uint8
    assert largest_difference(read, image) == 0


def test_alpha_is_dropped_and_does_not_darken(photo, tmp_path):
    clear = photo.copy()
    clear.putalpha(0)
    assert largest_difference(read_image(save(clear, tmp_path / "a.png")), photo) == 0


@pytest.mark.parametrize("mode", ["CMYK", "L", "RGB"])
def test_jpeg_of_every_mode_is_rgb(photo, tmp_path, mode):
    path = save(photo.convert(mode), tmp_path / "a.jpg", quality=98)
    assert largest_difference(read_image(path), Image.open(path)) <= JPEG_TOLERANCE


def test_sixteen_bits_are_cut_to_their_upper_eight_in_files_and_arrays_alike(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (24, 32, 3), dtype=np.uint16)
    cv2.imwrite(str(tmp_path / "a.png"), values)
    expected = (values[:, :, ::-1] >> 8).astype(np.uint8)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), expected)
    np.testing.assert_array_equal(as_rgb(values, "bgr"), expected)
    np.testing.assert_array_equal(as_rgb(values.astype(">u2"), "bgr"), expected)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_respected(photo, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(photo, tmp_path / "a.jpg", exif=exif, quality=98)
    upright = ImageOps.exif_transpose(Image.open(path))
    read = read_image(path)
    assert read.shape[:2] == upright.size[::-1]
    assert largest_difference(read, upright) <= JPEG_TOLERANCE


@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "tif", "webp"])
def test_every_suffix_is_read_and_content_counts_not_the_name(photo, tmp_path, suffix):
    path = save(photo, tmp_path / f"a.{suffix}")
    renamed = path.rename(tmp_path / "b.jpeg")
    assert read_image(renamed).shape == (photo.height, photo.width, 3)


def test_tiny_and_wide_images_are_read(tmp_path):
    assert read_image(save(Image.new("L", (1, 1), 7), tmp_path / "a.png")).tolist() == [[[7, 7, 7]]]
    assert read_image(save(Image.new("RGB", (20_000, 2)), tmp_path / "b.png")).shape == (2, 20_000, 3)


@pytest.mark.parametrize("content", [b"", b"hello", b"\xff\xd8\xff", b"BM" + b"\0" * 60, b"II*\0" + b"\xff" * 40])
def test_files_that_are_no_images_are_one_sentence_and_quiet(tmp_path, capfd, content):
    path = tmp_path / "a.jpg"
    path.write_bytes(content)
    with pytest.raises(LightDepthError, match=r"a\.jpg"):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_missing_files_and_folders_are_one_sentence(tmp_path):
    with pytest.raises(LightDepthError, match="No such file"):
        read_image(tmp_path / "none.png")
    with pytest.raises(LightDepthError, match="Can't read"):
        read_image(tmp_path)


def test_more_pixels_than_opencv_decodes_is_one_sentence(tmp_path):
    path = save(Image.new("L", (1, 1)), tmp_path / "a.png")
    content = path.read_bytes()
    header = b"IHDR" + struct.pack(">II", 40_000, 30_000) + content[24:29]  # claims a size; the checksum is right
    path.write_bytes(content[:12] + header + struct.pack(">I", zlib.crc32(header)) + content[33:])
    with pytest.raises(LightDepthError, match="OpenCV refuses"):
        read_image(path)


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "TIFF", "BMP"])
@given(data=st.data())
@settings(deadline=None, max_examples=30)
def test_bytes_changed_anywhere_give_an_image_or_one_sentence(tmp_path_factory, kind, data):
    file = io.BytesIO()
    Image.fromarray(np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)).save(file, kind)
    content = bytearray(file.getvalue())
    for position in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[position] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.mktemp("changed") / "a.img"
    path.write_bytes(content)
    try:
        image = read_image(path)
    except LightDepthError as error:
        assert "a.img" in str(error)  # noqa: PT017
    else:
        assert image.dtype == np.uint8
        assert image.shape[2] == 3


def frame(*shape):
    return np.random.default_rng(1).integers(0, 256, shape or (48, 70, 3), dtype=np.uint8)


def as_formula(rgb):
    """(value / 255 - mean) / std in float64 on the resized image."""
    resized = resize_rgb(np.ascontiguousarray(rgb), 64, 96) / 255
    return ((resized - np.array(SPEC.mean)) / np.array(SPEC.std)).transpose(2, 0, 1)


@pytest.mark.parametrize(
    ("image", "rgb"),
    [
        (frame(), frame()),
        (frame(64, 96, 3), frame(64, 96, 3)),
        (frame(480, 640, 3), frame(480, 640, 3)),
        (frame(50, 60), np.stack([frame(50, 60)] * 3, axis=2)),
        (frame(50, 60, 1), np.repeat(frame(50, 60, 1), 3, axis=2)),
        (frame(64, 96), np.stack([frame(64, 96)] * 3, axis=2)),
        (frame(50, 60, 4), frame(50, 60, 4)[:, :, :3]),
        (frame()[:, ::-1], np.ascontiguousarray(frame()[:, ::-1])),
        (frame()[::-1], np.ascontiguousarray(frame()[::-1])),
        (frame()[5:40, 7:60], np.ascontiguousarray(frame()[5:40, 7:60])),
        (frame(60, 90, 3).transpose(1, 0, 2), np.ascontiguousarray(frame(60, 90, 3).transpose(1, 0, 2))),
        (np.asfortranarray(frame()), frame()),
        (frame()[::2, ::3], np.ascontiguousarray(frame()[::2, ::3])),
        (frame(1, 1, 3), frame(1, 1, 3)),
        (frame(2, 40_000, 3), frame(2, 40_000, 3)),
    ],
    ids=[
        *("rgb", "same-size", "large", "grey", "grey1", "grey-same-size", "alpha", "mirrored", "flipped"),
        *("window", "transposed", "fortran", "strided", "1x1", "wide"),
    ],
)
def test_preprocess_is_the_specs_formula_on_the_resized_frame(image, rgb):
    before = image.copy()
    image.setflags(write=False)
    result = preprocess(image, SPEC)
    assert result.dtype == np.float32
    assert result.flags.c_contiguous
    np.testing.assert_allclose(result, as_formula(rgb), atol=TABLE_TOLERANCE)
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize("shape", [(48, 70, 3), (64, 96, 3), (48, 70, 4), (48, 70), (300, 400, 3)])
def test_bgr_gives_the_same_input_to_the_bit(shape):
    image = frame(*shape)
    swapped = image if image.ndim == 2 else image[:, :, [2, 1, 0, 3][: shape[2]]]
    np.testing.assert_array_equal(preprocess(swapped, SPEC, channel_order="bgr"), preprocess(image, SPEC))


def test_reused_buffers_change_nothing():
    buffers, out = FrameBuffers(64, 96), np.full((3, 64, 96), np.nan, np.float32)
    for image in (frame(), frame(480, 640, 4), frame(50, 60), frame(64, 96, 3), frame()):
        assert preprocess(image, SPEC, out, buffers=buffers) is out
        np.testing.assert_array_equal(out, preprocess(image, SPEC))


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "float32"),
        (np.zeros((4, 4, 3), np.int16), "int16"),
        (np.zeros((4, 4, 3), bool), "bool"),
        (np.full((4, 4, 3), np.nan), "float64"),
        (np.zeros((4, 4, 2), np.uint8), r"\(4, 4, 2\)"),
        (np.zeros((1, 4, 4, 3), np.uint8), r"\(1, 4, 4, 3\)"),
        (np.zeros(4, np.uint8), r"\(4,\)"),
        (np.zeros((0, 4, 3), np.uint8), r"\(0, 4, 3\)"),
        ([[1, 2]], "list"),
        (None, "NoneType"),
    ],
)
def test_arrays_that_are_no_images_are_one_sentence(image, words):
    for function in (check_frame, as_rgb, lambda a: preprocess(a, SPEC)):
        with pytest.raises(LightDepthError, match=words):
            function(image)


def test_unknown_channel_order_is_refused():
    with pytest.raises(LightDepthError, match="'rgb' or 'bgr', got 'gbr'"):
        preprocess(frame(4, 4), SPEC, channel_order="gbr")


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.uint16, np.int32, np.float32, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5),
    )
)
@settings(deadline=None)
def test_any_array_becomes_rgb_or_one_sentence(array):
    try:
        rgb = as_rgb(array)
    except LightDepthError as error:
        assert "An image must" in str(error)  # noqa: PT017
    else:
        assert rgb.dtype == np.uint8
        assert rgb.shape == (*array.shape[:2], 3)


def test_shrinking_averages_instead_of_skipping():
    stripes = np.zeros((480, 640, 3), np.uint8)
    stripes[:, ::2] = 200
    assert set(np.unique(resize_rgb(stripes, 48, 64))) == {100}


def test_depth_is_resized_linearly_and_left_alone_at_its_size():
    depth_m = np.float32([[1, 3]])
    assert resize_depth(depth_m, 1, 2) is depth_m
    np.testing.assert_allclose(resize_depth(depth_m, 1, 4), [[1, 1.5, 2.5, 3]])


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("size", [(720, 1280), (1080, 1920)])
def test_a_large_frame_is_halved_first_and_stays_near_one_step(tum, size, channels):
    frame = cv2.resize(load_pairs(tum, "train").pairs[0].read().image, size[::-1], interpolation=cv2.INTER_CUBIC)
    frame = frame[:, :, :channels] if channels < 4 else np.dstack([frame, frame[:, :, 0]])
    frame = np.ascontiguousarray(frame)
    asked = []

    def half(image):
        asked.append(np.empty((image.shape[0] // 2, image.shape[1] // 2, channels), np.uint8))
        return asked[-1]

    resized = resize_rgb(frame, 192, 256, half=half).reshape(192, 256, channels)
    one_step = cv2.resize(frame, (256, 192), interpolation=cv2.INTER_AREA).reshape(192, 256, channels)
    difference = np.abs(resized.astype(int) - one_step)
    assert difference.mean() < 0.3
    assert difference.max() <= 5  # at the sharpest edges
    assert len(asked) == 1
    assert asked[0].std() > 0  # the given array was used


@pytest.mark.parametrize("size", [(480, 640), (960, 1280), (721, 1280), (500, 1280)])
def test_other_frames_are_resized_in_one_step_to_the_last_bit(size):
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), np.uint8)
    target = (192, 256) if size != (960, 1280) else (96, 128)
    expected = cv2.resize(frame, target[::-1], interpolation=cv2.INTER_AREA)
    assert np.array_equal(resize_rgb(frame, *target), expected)
