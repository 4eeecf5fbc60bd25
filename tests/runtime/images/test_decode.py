"""Damaged files are found before they are decoded."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.complete import completed

PATH = Path("frame")


def encode(kind, **options):
    """A real-looking picture with an EXIF thumbnail's worth of structure: smooth colours and noise."""
    rng = np.random.default_rng(0)
    pixels = np.linspace(0, 200, 48 * 64 * 3).reshape(48, 64, 3) + rng.normal(20, 8, (48, 64, 3))
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, kind, **options)
    return file.getvalue()


FILES = {
    "jpeg": encode("JPEG"),
    "progressive jpeg": encode("JPEG", progressive=True),
    "jpeg with restart markers": encode("JPEG", restart_marker_rows=1),
    "png": encode("PNG"),
}


@pytest.mark.parametrize("name", FILES)
def test_whole_files_pass(name):
    for content in (FILES[name], FILES[name] + b"\0" * 10):  # cameras pad their files
        assert completed(content, PATH) == content


@pytest.mark.parametrize("name", FILES)
def test_files_cut_anywhere_are_refused(name):
    content = FILES[name]
    content = content[:-2] if name in ("jpeg", "jpeg with restart markers") else content  # those are given an end
    for cut in range(8, len(content)):  # after the signature, by which a format is known
        with pytest.raises(LightDepthError, match="frame is truncated"):
            completed(content[:cut], PATH)


@pytest.mark.parametrize("name", ["jpeg", "jpeg with restart markers"])
@pytest.mark.parametrize("missing", [1, 2])
def test_a_jpeg_that_lacks_only_its_end_marker_is_the_very_same_picture(name, missing):
    assert completed(FILES[name][:-missing], PATH) == FILES[name]


def test_a_progressive_jpeg_without_its_end_may_lack_scans_and_is_refused():
    with pytest.raises(LightDepthError, match="truncated"):
        completed(FILES["progressive jpeg"][:-2], PATH)


def test_a_thumbnails_end_is_not_the_images():
    thumbnail = FILES["jpeg"]
    segment = b"\xff\xe1" + (len(thumbnail) + 2).to_bytes(2, "big") + thumbnail
    whole = FILES["jpeg"][:2] + segment + FILES["jpeg"][2:]
    completed(whole, PATH)
    with pytest.raises(LightDepthError, match="truncated"):
        completed(whole[:-200], PATH)


@given(position=st.integers(8, len(FILES["png"]) - 1), flip=st.integers(1, 255))
@example(position=12, flip=32)  # IHDR becomes iHDR, which a reader may skip
@settings(deadline=None)
def test_any_byte_changed_in_a_png_is_noticed(position, flip):
    content = bytearray(FILES["png"])
    content[position] ^= flip
    with pytest.raises(LightDepthError, match=r"frame is (corrupt|truncated)"):
        completed(bytes(content), PATH)


def test_a_wrong_checksum_in_a_chunk_that_readers_may_skip_is_forgiven():
    content = FILES["png"]
    text = (4).to_bytes(4, "big") + b"tEXt" + b"abcd" + b"\0\0\0\0"  # a comment with a wrong CRC
    completed(content[:33] + text + content[33:], PATH)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\xff\xd8", b"\xff\xd8\xff\xda", b"\x89PNG\r\n\x1a\n"]))
def test_junk_never_hangs_or_crashes(junk, start):
    try:
        completed(start + junk, PATH)
    except LightDepthError as error:
        assert "frame is" in str(error)  # noqa: PT017
