"""URLs: what ends is read to its end and loses no frame, what has none is a camera, and the rest is one sentence."""

import http.server
import threading
import time

import cv2
import numpy as np
import pytest

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames import web
from lightdepth_runtime.frames.camera import Camera
from lightdepth_runtime.frames.video import VideoFile
from lightdepth_runtime.frames.web import WebPicture, WebVideo, file_name_of, open_web
from lightdepth_runtime.infer.streams import StreamJob, open_stream, plan_streams

PHOTO = np.full((24, 32, 3), 90, np.uint8)


@pytest.fixture
def serve(tmp_path):
    """A server of (content type, content, has a length) by path."""
    answers = {}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            kind, content, has_length = answers.get(self.path.split("?")[0], (None, b"", True))
            self.send_response(kind if isinstance(kind, int) else 200 if kind else 404)
            if isinstance(kind, str):
                self.send_header("Content-Type", kind)
            if has_length:
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if "silent" in self.path:
                time.sleep(0.5)
            self.wfile.write(content[: len(content) // 2] if "cut" in self.path else content)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield answers, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Live:
    """A camera's device that gives the same frame for ever."""

    def isOpened(self):  # noqa: N802
        return True

    def get(self, _):
        return 0.0

    def read(self):
        return True, PHOTO

    def release(self):
        pass


class Closed(Live):
    """A device that can't be opened."""

    def isOpened(self):  # noqa: N802
        return False


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "clip.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, (32, 24))
    for number in range(20):
        writer.write(PHOTO + number)
    writer.release()
    return path.read_bytes()


def open_at(url):
    return open_web(url, "a", opener=lambda _: Live())


def test_a_video_ends_and_loses_no_frame(serve, video):
    answers, root = serve
    answers["/clip.mp4"] = answers["/cut.mp4"] = ("video/mp4", video, True)
    answers["/download"] = ("application/octet-stream", video, True)
    for path in ("/clip.mp4", "/clip.mp4?token=a.b", "/download"):
        with open_at(root + path) as source:
            assert isinstance(source, WebVideo)
            assert not source.live
            assert [frame.name for frame in source] == [f"a_{number:06d}" for number in range(20)]
    with pytest.raises(LightDepthError, match=r"cut\.mp4 couldn't be fetched"):
        open_at(f"{root}/cut.mp4")


def test_a_picture_is_one_frame_and_a_broken_one_a_sentence(serve):
    answers, root = serve
    content = cv2.imencode(".png", PHOTO)[1].tobytes()
    answers["/photo.png"], answers["/snapshot.cgi"] = ("image/png", content, True), ("image/png", content, False)
    answers["/broken.png"] = ("image/png", content[:-9], True)
    for path in ("/photo.png", "/snapshot.cgi"):
        with open_at(root + path) as source:
            assert isinstance(source, WebPicture)
            [frame] = source
            np.testing.assert_array_equal(frame.image, PHOTO)
            assert frame.name == "a"
    with pytest.raises(LightDepthError, match="truncated"):
        open_at(f"{root}/broken.png")


@pytest.mark.parametrize("kind", ["application/octet-stream", "video/mp4"])
@pytest.mark.parametrize("has_length", [True, False])
def test_what_tells_neither_kind_nor_length_is_known_by_its_first_bytes(serve, video, kind, has_length):
    answers, root = serve
    answers["/clip"] = (kind, video, has_length)
    with open_at(f"{root}/clip") as source:
        assert isinstance(source, VideoFile)
    if kind.startswith("video"):
        return
    for suffix in (".jpg", ".png", ".gif", ".webp", ".tif", ".avif"):
        answers["/photo"] = (kind, cv2.imencode(suffix, PHOTO)[1].tobytes(), has_length)
        with open_at(f"{root}/photo") as source:
            assert isinstance(source, WebPicture), suffix


def test_a_stream_of_pictures_after_each_other_is_a_camera(serve):
    answers, root = serve
    answers["/stream"] = ("video/x-motion-jpeg", cv2.imencode(".jpg", PHOTO)[1].tobytes() * 3, False)
    with open_at(f"{root}/stream") as source:
        assert isinstance(source, Camera)


def test_letters_beyond_ascii_are_quoted_and_what_is_quoted_stays(serve):
    answers, root = serve
    answers["/caf%C3%A9%20a.png"] = ("image/png", cv2.imencode(".png", PHOTO)[1].tobytes(), True)
    for name in ("café a.png", "caf%C3%A9%20a.png?q=ü"):
        with open_at(f"{root}/{name}") as source:
            assert isinstance(source, WebPicture)


def test_mjpeg_and_what_has_no_end_is_a_camera(serve):
    answers, root = serve
    answers["/video.mjpg"] = ("multipart/x-mixed-replace; boundary=x", b"", False)
    answers["/image.jpg"] = ("multipart/x-mixed-replace; boundary=x", b"", False)
    answers["/stream"] = ("video/mp2t", b"", False)
    answers["/live.m3u8"] = ("application/vnd.apple.mpegurl", b"#EXTM3U\n#EXTINF:4,\na.ts\n", True)
    for path in answers:
        with open_at(root + path) as source:
            assert isinstance(source, Camera), path


def test_a_playlist_with_an_end_is_a_video_that_ends(serve):
    answers, root = serve
    answers["/a.m3u8"] = ("application/x-mpegURL", b"#EXTM3U\n#EXTINF:4,\na.ts\n#EXT-X-ENDLIST\n", True)
    answers["/all.m3u8"] = ("application/x-mpegURL", b"#EXTM3U\n#EXT-X-STREAM-INF:B=1\na.m3u8\n", True)
    answers["/chunked.mp4"] = ("video/mp4", b"", False)
    for path in answers:
        with open_at(root + path) as source:
            assert isinstance(source, VideoFile), path


def test_a_server_that_falls_silent_is_one_sentence(serve, monkeypatch):
    answers, root = serve
    monkeypatch.setattr(web, "TIMEOUT_S", 0.1)
    answers["/silent.m3u8"] = ("application/vnd.apple.mpegurl", b"#EXTM3U\n", True)
    answers["/silent.png"] = ("image/png", b"\x89PNG", True)
    for path in answers:
        with pytest.raises(LightDepthError, match=r"couldn't be fetched .*timed out"):
            open_at(root + path)


def test_what_is_no_stream_is_one_sentence(serve):
    answers, root = serve
    answers["/"] = ("text/html", b"<html>", True)
    answers["/a.heic"] = ("image/heic", b"\0\0\0\x18ftypheic" + bytes(40), True)
    with pytest.raises(LightDepthError, match=rf"^{root}/a\.heic is HEIC"):
        open_at(f"{root}/a.heic")
    with pytest.raises(LightDepthError, match=r"rec\.bag is a recording, which is read from a disk"):
        open_stream(StreamJob(f"{root}/rec.bag", "rec"))
    answers["/locked"] = (401, b"", True)
    with pytest.raises(LightDepthError, match=r"locked answers 401 .*user and password in the address"):
        open_web(f"{root}/locked", "a", opener=lambda _: Closed())
    with pytest.raises(LightDepthError, match="answers 404"):
        open_at(f"{root}/nothing.jpg")
    with pytest.raises(LightDepthError, match="is a web page"):
        open_at(f"{root}/")
    with pytest.raises(LightDepthError, match="can't be reached"):
        open_at("http://127.0.0.1:1/clip.mp4")
    for url in ("http://[::1/x.jpg", "http:///x.jpg", "http://127.0.0.1:99999/a.mp4"):
        [job] = plan_streams([url])
        with pytest.raises(LightDepthError, match="can't be reached"):
            open_stream(job)
    with pytest.raises(LightDepthError, match=r"http://127\.0\.0\.1:1/a can't") as caught:
        open_at("http://user:secret@127.0.0.1:1/a")
    assert "secret" not in str(caught.value)


def test_results_are_named_by_the_file_that_a_url_names(serve):
    answers, root = serve
    answers["/my%20photo.png"] = ("image/png", cv2.imencode(".png", PHOTO)[1].tobytes(), True)
    assert file_name_of("http://a/b/my%20clip.MP4?x=1") == "my clip.MP4"
    assert file_name_of("http://a/cgi-bin/video.cgi") is None
    jobs = plan_streams(["http://a/b/clip.mp4", "http://other/clip.mp4", "rtsp://robot/front"])
    assert [job.stem for job in jobs] == ["a-clip", "other-clip", "rtsp_robot_front"]
    with open_stream(StreamJob(f"{root}/my%20photo.png", "a")) as source:
        assert source.count == 1
