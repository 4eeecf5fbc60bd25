"""Which inputs are streams, and what their outputs are called."""

import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.infer.streams import is_stream, plan_streams


@pytest.mark.parametrize(
    "text",
    ["camera:0", "camera:12", "rtsp://a/b", "RTSP://u:p@a/b", "http://a:80/video", "a.mp4", "dir/a.MOV", "a.avi"],
)
def test_cameras_urls_and_videos_are_streams(text):
    assert is_stream(text)


@pytest.mark.parametrize("text", ["a.png", "folder", "camera", "camera:", "camera:front", "http:", "mp4", ""])
def test_images_folders_and_near_misses_are_not(text):
    assert not is_stream(text)


def test_streams_of_equal_names_are_told_apart(tmp_path):
    for name in ("left/clip.mp4", "right/clip.mp4", "other.mov"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    inputs = [str(tmp_path / name) for name in ("left/clip.mp4", "right/clip.mp4", "other.mov")]
    jobs = plan_streams([*inputs, "camera:0", inputs[0], "rtsp://user:secret@robot:554/front"])
    assert [job.stem for job in jobs] == ["left-clip", "right-clip", "other", "camera_0", "rtsp_robot_554_front"]
    assert jobs[-1].shown == "rtsp://robot:554/front"


def test_a_missing_video_is_one_sentence(tmp_path):
    with pytest.raises(LightDepthError, match=r"No video at .*none\.mp4; name one that exists"):
        plan_streams([str(tmp_path / "none.mp4")])
