"""Where depth and sigma go: colour pictures with a scale, 16-bit millimetre PNGs, float arrays, points, videos."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..atomic import write_bytes
from ..errors import LightDepthError
from ..frames.frame import DepthFrame, ImageJob, unknown_camera
from ..images.millimetres import depth_as_mm
from ..images.opencv import import_cv2
from ..obstacles import find_obstacles
from ..obstacles.obstacles import draw_obstacles
from ..ros import DepthEncoding, RecordingSink
from ..sigma import without_unsure
from .colorize import colorize, depth_range, draw_sigma, with_scale
from .points import encode_ply, points_of
from .rerun import RerunSink
from .scan import ScanSink
from .sink import FrameSink, Style
from .video import VideoSink

__all__ = [
    "IMAGE_SAVE",
    "IN_MILLIMETRES",
    "RECORDING_SAVE",
    "SAVE_KINDS",
    "SPAN_KINDS",
    "STREAM_SAVE",
    "DepthFiles",
    "Style",
    "encode_png",
    "open_sinks",
    "parse_save",
]

IN_MILLIMETRES = frozenset({"png16", "bag16"})  # in 16 bits
IMAGE_SAVE = frozenset({"png", "png16", "npy"})  # what is written of images unless asked otherwise
STREAM_SAVE = frozenset({"mp4"})  # and of videos and cameras
RECORDING_SAVE = frozenset({"bag"})  # and of ROS recordings
# Each kind's file name endings, in the order of writing.
SAVE_KINDS: dict[str, tuple[str, ...]] = {
    "png": ("_depth.png",),
    "png16": ("_depth_mm.png",),
    "npy": ("_depth.npy",),
    "ply": ("_depth.ply",),
    "sigma": ("_sigma.png", "_sigma.npy"),
}
# One file for all frames of a stream, or of all images: its name's ending after STEM. ROS 2 recordings are folders,
# `bag` with 32FC1 metres and `bag16` with 16UC1 millimetres.
# `scan` is the nearest obstacle of each direction, a line of JSON a frame.
SPAN_KINDS = {
    "mp4": "_depth.mp4",
    "rrd": "_depth.rrd",
    "bag": "_depth_bag",
    "bag16": "_depth_bag16",
    "scan": "_scan.jsonl",
}
RECORDED_AS: dict[str, DepthEncoding] = {"bag": "32FC1", "bag16": "16UC1"}


def parse_save(text: str) -> frozenset[str]:
    """Read `png,png16,npy`.

    Raises:
        LightDepthError: an unknown kind, or none.
    """
    kinds = frozenset(kind.strip() for kind in text.split(",") if kind.strip())
    known = [*SAVE_KINDS, *SPAN_KINDS]
    if not kinds or not kinds <= set(known):
        raise LightDepthError(f"--save takes {', '.join(known)} separated by commas, got {text!r}.")
    return kinds


def open_sinks(
    save: Iterable[str], folder: Path, stem: str, style: Style | None = None, *, fps: float | None = None
) -> list[FrameSink]:
    """Return what writes the kinds in `save`: files of each frame, and files named by `stem` that span all frames.

    Raises:
        LightDepthError: a kind needs a package that is missing.
    """
    kinds, style = frozenset(save), style or Style()
    sinks: list[FrameSink] = []
    if kinds & SAVE_KINDS.keys():
        sinks.append(DepthFiles(folder, kinds, style))
    if "mp4" in kinds:
        sinks.append(VideoSink(folder / f"{stem}{SPAN_KINDS['mp4']}", fps, style))
    if "rrd" in kinds:
        sinks.append(RerunSink(folder / f"{stem}{SPAN_KINDS['rrd']}", max_sigma=style.max_sigma))
    for kind, encoding in RECORDED_AS.items():
        if kind in kinds:
            path = folder / f"{stem}{SPAN_KINDS[kind]}"
            sinks.append(RecordingSink(path, encoding, style.mount, max_sigma=style.max_sigma))
    if "scan" in kinds:
        sinks.append(ScanSink(folder / f"{stem}{SPAN_KINDS['scan']}", style.mount))
    return sinks


def encode_png(image: NDArray[np.uint8] | NDArray[np.uint16]) -> bytes:
    """Encode uint8 RGB (H, W, 3) or single-channel uint16 (H, W) as PNG."""
    cv2 = import_cv2()
    done, content = cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR) if image.ndim == 3 else image)
    assert done, f"OpenCV can't encode {image.shape} {image.dtype}"
    return content.tobytes()


class DepthFiles(FrameSink):
    """Write each frame's depth as the kinds of file in `save`, whole or not at all.

    `png` is `NAME_depth.png`: colour with a scale in metres beside it. `png16` is `NAME_depth_mm.png`: millimetres.
    `npy` is `NAME_depth.npy`: float32 (H, W) metres. `ply` is `NAME_depth.ply`: coloured points in metres, without
    those of pixels whose sigma is past the style's. `sigma` is `NAME_sigma.png`, colour with a scale in per cent, and
    `NAME_sigma.npy`, float32 (H, W), 0.1 for 10 %; it needs a model with sigma.
    """

    def __init__(self, folder: Path, save: frozenset[str], style: Style) -> None:
        self._folder, self._save, self._style = folder, save, style
        self.wants_sigma = bool(save & {"sigma", "ply"})  # written, or decides which points are

    def paths(self, name: str) -> list[Path]:
        """Return what `write` writes for a frame's name."""
        endings = [ending for kind, endings in SAVE_KINDS.items() if kind in self._save for ending in endings]
        return [self._folder / f"{name}{ending}" for ending in endings]

    def check_inputs(self, jobs: Sequence[ImageJob]) -> None:
        """Refuse to write over an image that is to be read."""
        inputs = {job.path.resolve() for job in jobs}
        for job in jobs:
            for path in self.paths(job.stem):
                if path.resolve() in inputs:
                    raise LightDepthError(
                        f"Depth of {job.path} would be written over the input {path}; choose another --output."
                    )

    def write(self, done: DepthFrame) -> list[Path]:
        """Write one depth map, and sigma where it is wanted; return the files.

        Raises:
            LightDepthError: the folder can't be written, or points are wanted of an unknown camera, or sigma where
                there is none.
        """
        name = done.frame.name
        if "ply" in self._save and done.camera is None:  # before the first file
            raise unknown_camera(f"Points of {name} need")
        if "sigma" in self._save and done.sigma is None:
            raise LightDepthError(f"{name} comes without sigma; leave sigma out of --save.")
        paths = self.paths(name)
        for path, content in zip(paths, self._contents(done), strict=True):
            write_bytes(path, content)
        return paths

    def _contents(self, done: DepthFrame) -> Iterator[bytes]:
        """Yield the content of each of `paths`."""
        style, depth_m, camera = self._style, done.depth_m, done.camera
        if "png" in self._save:
            scale = style.scale or depth_range(depth_m, style.limits)
            picture = colorize(depth_m, style.colormap, scale)
            if style.mount is not None and camera is not None:
                picture = draw_obstacles(picture, find_obstacles(depth_m, camera, style.mount))
            yield encode_png(with_scale(picture, style.colormap, scale))
        if "png16" in self._save:
            yield encode_png(depth_as_mm(depth_m))
        if "npy" in self._save:
            yield _npy(depth_m)
        if "ply" in self._save and camera is not None:
            sure_m = without_unsure(depth_m, done.sigma, style.max_sigma)
            yield encode_ply(points_of(sure_m, done.frame.image, camera))
        if "sigma" in self._save and done.sigma is not None:
            yield encode_png(draw_sigma(done.sigma, style.colormap))
            yield _npy(done.sigma)


def _npy(values: NDArray[np.float32]) -> bytes:
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()
