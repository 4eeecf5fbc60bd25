"""What of a folder is taken for photographs, and what is said of the rest."""

import os

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.infer.plan import plan_inputs

HEIC = b"\0\0\0\x18ftypheic" + bytes(40)
PHOTO = np.zeros((64, 96, 3), np.uint8)


def write(path, image=PHOTO):
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    return path


def plan(*inputs, output=None):
    said = []
    return sorted(job.path.name for job in plan_jobs(inputs, output, say=said.append)), said


def test_every_format_that_opencv_reads_is_taken(tmp_path):
    names = [f"{n}.{suffix}" for n, suffix in enumerate(("jpg", "PNG", "ppm", "pgm", "jp2", "avif", "gif", "webp"))]
    for name in names:
        write(tmp_path / name, PHOTO[:, :, 0] if name.endswith("pgm") else PHOTO)
        assert read_image(tmp_path / name).shape == (64, 96, 3)
    assert plan(tmp_path) == (sorted(names), [])


def test_what_is_left_out_is_counted_by_suffix(tmp_path):
    write(tmp_path / "a.png")
    for name in ("b.txt", "c.txt", "d.NEF", ".hidden", "e_depth.png", "f.HEIC"):
        (tmp_path / name).write_bytes(HEIC)
    names, said = plan(tmp_path)
    assert names == ["a.png"]
    (text,) = said
    assert text.startswith("4 left out: 2 .txt")
    assert "1 .nef" in text
    assert "1 HEIC, which must be converted to JPEG" in text


def test_heic_is_named_and_a_jpeg_of_its_suffix_is_taken(tmp_path):
    write(tmp_path / "a.jpg").rename(tmp_path / "a.HEIC")
    assert plan(tmp_path) == (["a.HEIC"], [])
    (tmp_path / "b.heic").write_bytes(HEIC)
    with pytest.raises(LightDepthError, match="HEIC, which OpenCV can't read; convert it to JPEG"):
        read_image(tmp_path / "b.heic")
    (tmp_path / "a.HEIC").unlink()
    with pytest.raises(LightDepthError, match="has no images: 1 left out: 1 HEIC"):
        plan(tmp_path)


def test_linked_folders_are_followed_once_and_circles_end(tmp_path):
    write(tmp_path / "data" / "a.png")
    write(tmp_path / "elsewhere" / "b.png")
    (tmp_path / "data" / "linked").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "data" / "again").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "back").symlink_to(tmp_path / "data")
    (tmp_path / "data" / "dangling").symlink_to(tmp_path / "nowhere")
    assert plan(tmp_path / "data")[0] == ["a.png", "b.png"]


def test_a_pipe_is_not_waited_for_and_a_locked_folder_is_counted(tmp_path, monkeypatch):
    write(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "locked").mkdir()
    scandir = os.scandir

    def scan(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied", folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scan)
    names, said = plan(tmp_path)
    assert names == ["a.png"]
    assert said == ["2 left out: 1 pipe or device, 1 folder that can't be read"]


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm", "jp2"])
def test_sixteen_bit_pictures_of_one_channel_are_depth_unless_they_are_named(tmp_path, suffix):
    write(tmp_path / "rgb" / "0.png")
    depth = write(tmp_path / "depth" / f"0.{suffix}", np.full((64, 96), 900, np.uint16))
    names, said = plan(tmp_path)
    assert names == ["0.png"]
    assert "1 of 16 bits and one channel, which is depth" in said[0]
    assert plan(depth)[0] == [depth.name]
    with pytest.raises(LightDepthError, match="which is depth"):
        plan(depth.parent)
    write(tmp_path / "rgb" / "1.png", np.full((4, 6, 3), 900, np.uint16))
    write(tmp_path / "rgb" / "2.jp2", np.full((64, 96), 90, np.uint8))
    assert plan(tmp_path)[0] == ["0.png", "1.png", "2.jp2"]


def test_comments_before_a_maps_size_do_not_hide_its_bits(tmp_path):
    write(tmp_path / "0.png")
    (tmp_path / "1.pgm").write_bytes(b"P5\n#" + b" made by a program" * 9 + b"\n6 4\n65535\n" + bytes(48))
    assert plan(tmp_path)[0] == ["0.png"]


@pytest.mark.parametrize("text", ["ftp://host/a.jpg", "file:///a.png"])
def test_an_address_of_another_kind_is_named_as_one(tmp_path, text):
    with pytest.raises(LightDepthError, match="is an address that isn't read"):
        plan_inputs([text], tmp_path, None, Lens())


@pytest.mark.parametrize("text", ["", "  "])
def test_an_empty_name_is_not_this_folder(tmp_path, text):
    with pytest.raises(LightDepthError, match="empty name"):
        plan_inputs([text], tmp_path, None, Lens())
