import io

import numpy as np
import pytest

from lightdepth_runtime.images.exif import focal_35mm, focal_px_of_35mm

Image = pytest.importorskip("PIL.Image")


def photograph(kind, focal_mm, orientation=1):
    """Return the bytes of a 40x30 picture whose EXIF tells a focal length."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif.get_ifd(0x8769)[0xA405] = focal_mm
    file = io.BytesIO()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(file, kind, exif=exif)
    return file.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("orientation", [1, 6])
def test_the_focal_length_on_film_is_read(kind, orientation):
    assert focal_35mm(photograph(kind, 26, orientation)) == 26


def test_no_and_unknown_focal_lengths_are_none():
    plain = io.BytesIO()
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(plain, "JPEG")
    assert focal_35mm(plain.getvalue()) is None
    assert focal_35mm(photograph("JPEG", 0)) is None
    assert focal_35mm(b"") is None
    assert focal_35mm(photograph("JPEG", 26)[:40]) is None


def test_pixels_follow_from_the_diagonal_whichever_way_the_phone_was_held():
    assert focal_px_of_35mm(26, 3024, 4032) == pytest.approx(26 * 5040 / 43.26661)
    assert focal_px_of_35mm(26, 4032, 3024) == focal_px_of_35mm(26, 3024, 4032)
