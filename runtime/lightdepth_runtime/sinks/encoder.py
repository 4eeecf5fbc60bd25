"""Encoders of a video's pictures: H.264, which browsers play, where PyAV is installed; else OpenCV's MPEG-4."""

from __future__ import annotations

from contextlib import closing, suppress
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..images.opencv import import_cv2, quiet_cv2

__all__ = ["VideoEncoder", "open_encoder"]

QUALITY = "20"  # x264's constant rate factor: smaller is better; 18 to 23 look like the original
MPEG4 = "MPEG-4, which browsers don't play (for H.264: pip install av)"


class _PyAvEncoder:
    """H.264 in MP4, its index at the front, so that a player needs no seek. Pictures are BGR (h, w, 3), sides even."""

    codec = "H.264"

    def __init__(self, av: Any, path: Path, fps: float, height: int, width: int) -> None:  # Any: the module
        self._av = av
        self._container: Any = av.open(str(path), "w", options={"movflags": "+faststart"})  # Any: a container
        self._stream = self._container.add_stream("libx264", rate=Fraction(fps).limit_denominator(1001))
        self._stream.height, self._stream.width, self._stream.pix_fmt = height, width, "yuv420p"
        self._stream.options = {"crf": QUALITY}

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add a picture."""
        try:
            self._container.mux(self._stream.encode(self._av.VideoFrame.from_ndarray(picture, format="bgr24")))
        except OSError as error:
            raise LightDepthError(f"Can't write the video: {error.strerror or error}. Free some space.") from error

    def release(self) -> None:
        """Finish the file."""
        container, self._container = self._container, None
        if container is None:
            return
        with closing(container), suppress(OSError):  # a full disk: whoever counts the file's frames will tell
            container.mux(self._stream.encode())


class _OpenCvEncoder:
    """MPEG-4 Part 2 in MP4."""

    codec = MPEG4

    def __init__(self, path: Path, fps: float, height: int, width: int) -> None:
        cv2 = import_cv2()
        with quiet_cv2():
            self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, (width, height))
        if not self._writer.isOpened():
            raise LightDepthError(f"This OpenCV can't write {path.name} as MPEG-4; save png or npy instead.")

    def write(self, picture: NDArray[np.uint8]) -> None:
        """Add a picture."""
        self._writer.write(picture)

    def release(self) -> None:
        """Finish the file."""
        self._writer.release()


VideoEncoder = _PyAvEncoder | _OpenCvEncoder


def open_encoder(path: Path, fps: float, height: int, width: int) -> VideoEncoder:
    """Open the best encoder that is installed.

    Raises:
        LightDepthError: OpenCV can't write MPEG-4 here.
    """
    with suppress(ModuleNotFoundError):
        import av

        if "libx264" in av.codecs_available:
            return _PyAvEncoder(av, path, fps, height, width)
    return _OpenCvEncoder(path, fps, height, width)
