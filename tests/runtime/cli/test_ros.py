"""`infer` on recordings, as a user meets it."""

import sys

import pytest

from lightdepth_runtime.backends.fake import FakeBackend
from lightdepth_runtime.cli.app import app, run_app
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.ros import Recording

COLOR, DEPTH = "/camera/color/image_raw", "/camera/depth/image_raw"


@pytest.fixture
def infer(capsys, monkeypatch, tmp_path):
    """Run `infer` in this process with the fake model; returns exit code, stdout, stderr."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lightdepth", "infer", *map(str, arguments), "-o", str(tmp_path / "out")])
        monkeypatch.setattr(DepthEstimator, "load", lambda *_: DepthEstimator(FakeBackend()))
        with pytest.raises(SystemExit) as caught:
            run_app(app)
        captured = capsys.readouterr()
        return caught.value.code or 0, captured.out, captured.err

    return call


def test_a_recording_becomes_a_recording_with_depth(infer, write_bag, tmp_path):
    bag = write_bag(tmp_path / "kitchen", "sqlite3")
    code, out, _ = infer(bag, "--topic", COLOR)
    assert code == 0
    assert "1 stream" in out
    with Recording(tmp_path / "out" / "kitchen_depth_bag") as recording:
        assert recording.image_topics == {"/lightdepth/depth/image_rect": 6}
    code, _, err = infer(bag, "--topic", COLOR)
    assert code == 1
    assert "a recording is never overwritten" in err


def test_millimetres_and_pictures_can_be_saved_of_it_too(infer, write_bag, tmp_path):
    code, _, _ = infer(write_bag(tmp_path / "hall", topics=("color",)), "--save", "bag16,png")
    assert code == 0
    with Recording(tmp_path / "out" / "hall_depth_bag16") as recording:
        assert [image.message.encoding for image in recording.images(["/lightdepth/depth/image_rect"])] == ["16UC1"] * 6
    assert len(list((tmp_path / "out").glob("hall_*_depth.png"))) == 6


def test_faults_are_one_sentence_and_exit_code_1(infer, write_bag, tum, tmp_path):
    bag = write_bag(tmp_path / "kitchen")
    (tmp_path / "empty.bag").touch()
    for arguments, text in (
        ([bag], f"several image topics: {COLOR} (6), {DEPTH} (6); choose one with --topic"),
        ([bag, "--topic", "/none"], "has no image topic '/none'"),
        ([tmp_path / "empty.bag"], "is empty (0 bytes)"),
        ([tmp_path / "none.mcap"], "No recording at"),
        ([tum, "--topic", COLOR], "no input is one"),
    ):
        code, _, err = infer(*arguments)
        assert code == 1
        assert text in err
        assert len(err.splitlines()) == 1
    assert not list((tmp_path / "out").glob("*"))
