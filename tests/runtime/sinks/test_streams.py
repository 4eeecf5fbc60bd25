"""Streams in, films, points and recordings out: whole, or not there."""

import importlib.util
import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from lightdepth_runtime import DepthEstimator, ModelSpec
from lightdepth_runtime.backends import FakeBackend
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.frames.frame import DepthFrame, Frame
from lightdepth_runtime.images.decode import read_image
from lightdepth_runtime.infer.infer import infer_files, infer_stream
from lightdepth_runtime.infer.inputs import plan_jobs
from lightdepth_runtime.infer.lens import Lens
from lightdepth_runtime.sinks.open import open_sinks
from lightdepth_runtime.sinks.points import encode_ply, points_of
from lightdepth_runtime.sinks.video import VideoSink
from lightdepth_runtime.spec import Intrinsics

CAMERA = Intrinsics(120.0, 130.0, 79.5, 59.5, 160, 120)
needs_rerun = pytest.mark.skipif(importlib.util.find_spec("rerun") is None, reason="rerun-sdk is not installed")


@pytest.fixture
def estimator():
    return DepthEstimator(FakeBackend(ModelSpec(name="fake", input_height=64, input_width=96, parameters=0)))


@pytest.fixture
def frames(tum):
    """Six real frames, ten a second."""
    paths = sorted(tum.rglob("*_rgb.jpg"))
    return [Frame(read_image(path), number * 100_000_000, f"clip_{number:06d}") for number, path in enumerate(paths)]


def read_film(path):
    film, pictures = cv2.VideoCapture(str(path)), []
    while True:
        done, picture = film.read()
        if not done:
            return pictures
        pictures.append(picture[:, :, ::-1])


def test_a_film_shows_every_frame_beside_its_depth(estimator, frames, tmp_path):
    [path] = infer_stream(estimator, frames, open_sinks({"mp4"}, tmp_path, "clip", fps=10)).paths
    assert path == tmp_path / "clip_depth.mp4"
    assert list(tmp_path.iterdir()) == [path]
    pictures = read_film(path)
    assert len(pictures) == 6
    for picture, frame in zip(pictures, frames, strict=True):
        left = picture[:120, picture.shape[1] % 2 :][:, :160].astype(float)
        assert np.abs(left - frame.image).mean() < 16  # of 255: MPEG-4's loss and a column of padding


@pytest.mark.parametrize("has_pyav", [True, False])
def test_a_video_is_h264_where_pyav_is_and_says_what_it_holds(estimator, frames, tmp_path, monkeypatch, has_pyav):
    if has_pyav:
        pytest.importorskip("av", reason="PyAV is not installed")
    else:
        monkeypatch.setitem(sys.modules, "av", None)
    said = []
    frames = [*frames, replace(frames[-1], stamp_ns=frames[-1].stamp_ns + 300_000_000)]
    [path] = infer_stream(estimator, frames, open_sinks({"mp4"}, tmp_path, "clip", fps=10), say=said.append).paths
    film = cv2.VideoCapture(str(path))
    codec = int(film.get(cv2.CAP_PROP_FOURCC)).to_bytes(4, "little").decode()
    assert codec.lower() in (("h264", "avc1") if has_pyav else ("mp4v", "fmp4"))
    [sentence] = [text for text in said if "clip_depth.mp4" in text]
    assert "9 frames at 10 a second" in sentence
    assert "2 repeated" in sentence
    assert ("H.264" in sentence, "pip install av" in sentence) == (True, not has_pyav)


def test_a_film_keeps_the_time_of_its_frames(frames, tmp_path):
    sink = VideoSink(tmp_path / "film.mp4", fps=10)
    depth_m = np.full((120, 160), 2, np.float32)
    for number, stamp_s in enumerate((5.0, 5.1, 5.5, 5.52, 5000.0)):  # a gap, one too many, a leap of the clock
        sink.write(DepthFrame(Frame(frames[number].image, round(stamp_s * 1e9), str(number)), depth_m, None))
    sink.close()
    assert len(read_film(tmp_path / "film.mp4")) == 6 + 100 + 1  # a leap is a still picture of ten seconds


def test_frames_of_another_size_are_brought_to_the_films(estimator, frames, tmp_path):
    frames[2] = Frame(cv2.resize(frames[2].image, (75, 333)), frames[2].stamp_ns, "odd")
    [path] = infer_stream(estimator, frames, open_sinks({"mp4"}, tmp_path, "clip", fps=10)).paths
    assert len({picture.shape for picture in read_film(path)}) == 1
    assert len(read_film(path)) == 6


@pytest.mark.parametrize("size", [(1, 1), (3, 20_000)])
def test_the_smallest_and_the_widest_frames_make_a_film(estimator, tmp_path, size):
    frame = Frame(np.full((*size, 3), 90, np.uint8), 0, "odd")
    [path] = infer_stream(estimator, [frame], open_sinks({"mp4"}, tmp_path, "odd", fps=10)).paths
    assert len(read_film(path)) == 1


def test_a_source_that_fails_midway_leaves_a_whole_film_and_its_own_error(estimator, frames, tmp_path):
    def vanishing():
        yield from frames[:3]
        raise LightDepthError("camera:0 is gone.")

    with pytest.raises(LightDepthError, match="camera:0 is gone"):
        infer_stream(estimator, vanishing(), open_sinks({"mp4", "npy"}, tmp_path, "cam", fps=10))
    assert len(read_film(tmp_path / "cam_depth.mp4")) == 3
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_an_interrupt_leaves_nothing_half_written(estimator, frames, tmp_path):
    def interrupted():
        yield from frames[:3]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        infer_stream(estimator, interrupted(), open_sinks({"mp4"}, tmp_path, "clip", fps=10))
    assert list(tmp_path.iterdir()) == []


def test_a_bad_frame_is_left_out_and_the_next_one_works(estimator, frames, tmp_path):
    frames[1] = Frame(np.zeros((4, 4, 3), np.float32), frames[1].stamp_ns, "bad")
    said = []
    with pytest.raises(LightDepthError, match=r"1 of 6 frames failed \(bad\)"):
        infer_stream(estimator, frames, open_sinks({"npy"}, tmp_path, "clip"), say=said.append)
    assert len(list(tmp_path.glob("*.npy"))) == 5
    assert "uint8" in said[0]


def test_a_stream_ends_after_so_many_frames_or_when_asked(estimator, frames, tmp_path):
    assert infer_stream(estimator, frames, open_sinks({"npy"}, tmp_path, "a"), most_frames=2).files == 2
    assert infer_stream(estimator, frames, open_sinks({"npy"}, tmp_path, "b"), stop=lambda: True).paths == []


def test_points_project_back_to_their_pixels(frames):
    depth_m = np.random.default_rng(0).uniform(0.5, 5, (120, 160)).astype(np.float32)
    depth_m[3, 4], depth_m[5, 6] = 0, np.nan
    cloud = points_of(depth_m, frames[0].image, CAMERA)
    x, y, z = cloud.points_m.T
    rows, columns = np.nonzero(np.nan_to_num(depth_m) > 0)
    np.testing.assert_allclose(x / z * CAMERA.fx + CAMERA.cx, columns, atol=1e-3)  # pixels
    np.testing.assert_allclose(y / z * CAMERA.fy + CAMERA.cy, rows, atol=1e-3)
    np.testing.assert_array_equal(z, depth_m[rows, columns])
    np.testing.assert_array_equal(cloud.colors, frames[0].image[rows, columns])


def test_a_ply_holds_its_points_in_the_standards_layout(frames):
    cloud = points_of(np.full((120, 160), 2, np.float32), frames[0].image, CAMERA)
    header, _, body = encode_ply(cloud).partition(b"end_header\n")
    assert header.startswith(b"ply\nformat binary_little_endian 1.0\n")
    assert b"element vertex 19200\n" in header
    assert len(body) == 19200 * 15
    assert np.frombuffer(body[:12], "<f4").tolist() == pytest.approx(cloud.points_m[0].tolist())
    assert list(body[12:15]) == frames[0].image[0, 0].tolist()


def test_points_without_a_known_camera_are_refused_with_the_way_out(estimator, tum, tmp_path):
    jobs = plan_jobs([sorted(tum.rglob("*_rgb.jpg"))[0]])
    with pytest.raises(LightDepthError, match="give --focal-px or --fov"):
        infer_files(estimator, jobs, tmp_path, save={"ply"})
    assert list(tmp_path.iterdir()) == []
    [path] = infer_files(estimator, jobs, tmp_path, save={"ply"}, lens=Lens(fov_deg=60)).paths
    assert path.name.endswith("_depth.ply")


def test_a_known_focal_length_corrects_depth_where_the_model_knows_its_own(frames):
    spec = ModelSpec(name="fake", input_height=64, input_width=96, parameters=0, intrinsics=CAMERA)
    with_own = DepthEstimator(FakeBackend(spec))
    from lightdepth_runtime.infer.infer import estimate_frame

    plain = estimate_frame(with_own, frames[0]).depth_m
    longer = estimate_frame(with_own, frames[0], Lens(focal_px=250.0)).depth_m
    np.testing.assert_allclose(longer, plain * CAMERA.depth_factor(250.0, 120, 160), rtol=1e-6)


def test_a_camera_scales_with_its_image():
    scaled = CAMERA.scaled_to(320, 240)
    assert (scaled.fx, scaled.fy, scaled.cx, scaled.cy) == (240, 260, 159.5, 119.5)
    with pytest.raises(LightDepthError, match="not both"):
        Lens(focal_px=500, fov_deg=60)
    with pytest.raises(LightDepthError, match="0 and 180"):
        Lens(fov_deg=200)


@needs_rerun
def test_a_rerun_recording_is_whole_and_holds_the_depth(estimator, frames, tmp_path):
    sinks = open_sinks({"rrd"}, tmp_path, "clip")
    [path] = infer_stream(estimator, frames[:2], sinks, lens=Lens(fov_deg=60)).paths
    assert list(tmp_path.iterdir()) == [path]
    content = path.read_bytes()
    assert content[:4] == b"RRF2"
    for entity in (b"world/camera/image", b"world/camera/depth", b"world/points"):
        assert entity in content


@needs_rerun
def test_an_interrupted_rerun_recording_is_deleted(frames, tmp_path):
    [sink] = open_sinks({"rrd"}, tmp_path, "clip")
    sink.write(DepthFrame(frames[0], np.ones((120, 160), np.float32), CAMERA))
    sink.abort()
    assert list(tmp_path.iterdir()) == []


@needs_rerun
@pytest.mark.parametrize(("start_ns", "kind"), [(0, "duration"), (1_700_000_000_000_000_000, "timestamp")])
def test_reruns_time_axis_shows_dates_of_a_clock_and_seconds_of_a_video(frames, tmp_path, monkeypatch, start_ns, kind):
    import rerun

    times = []
    real = rerun.RecordingStream.set_time

    def set_time(stream, name, **time):
        if name == "time":  # Rerun counts log calls on a timeline of its own
            times.append(time)
        real(stream, name, **time)

    monkeypatch.setattr(rerun.RecordingStream, "set_time", set_time)
    [sink] = open_sinks({"rrd"}, tmp_path, "clip")
    for number, frame in enumerate(frames):
        stamped = replace(frame, stamp_ns=start_ns + number * 10**8)
        sink.write(DepthFrame(stamped, np.ones(frame.image.shape[:2], np.float32), None))
    sink.close()
    assert {name for time in times for name in time} == {kind}
    assert int(times[-1][kind].astype(np.int64)) == start_ns + (len(frames) - 1) * 10**8
