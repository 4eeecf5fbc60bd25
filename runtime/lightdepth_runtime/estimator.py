"""DepthEstimator: an image in, metres out, at the image's resolution."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from .backends import Backend, open_backend
from .backends.backend import depth_and_sigma, empty_input, sigma_tensor_of
from .closing import Closing
from .errors import LightDepthError
from .images.preprocess import ChannelOrder, FrameBuffers, ImageLike, as_rgb, check_frame, preprocess, resize_depth
from .models.find import SHIPPED_MODEL, find_model
from .scale.fit import correct
from .scale.points import PointsLike
from .spec import ModelSpec

__all__ = ["SHIPPED_MODEL", "DepthEstimator", "DepthPrediction", "Resolution"]

Resolution = Literal["image", "model"]
Plane = NDArray[np.float32]  # (h, w), or a batch of them


@dataclass(frozen=True)
class DepthPrediction:
    """What a model says of one frame, and how sure it is of it; both arrays are the caller's own.

    `depth_m` is what a call of the estimator returns. `sigma` has its shape, float32, positive: the model's estimate of
    the standard deviation of log depth. 0.1 says that depth is about 10 % off (`ModelSpec`).
    """

    depth_m: NDArray[np.float32]
    sigma: NDArray[np.float32]


class DepthEstimator(Closing):
    """Estimate metric depth with any LightDepth model.

    Several threads may share one estimator: frames are worked on one after another, and each thread gets the result
    of its own. Input buffers are kept from frame to frame; the result is always the caller's own array.

    Example:
        estimator = DepthEstimator.load("model.onnx")
        depth_m = estimator(image)  # uint8 RGB (H, W, 3) -> float32 (H, W) metres
    """

    def __init__(self, backend: Backend, *, path: Path | None = None) -> None:
        self._backend = backend
        self._path = path
        self._lock = threading.Lock()
        self._batch = empty_input(backend)
        self._buffers = FrameBuffers(backend.spec.input_height, backend.spec.input_width)

    @classmethod
    def load(cls, path: Path | str | None = None, device: str = "auto", threads: int | None = None) -> "DepthEstimator":
        """Open a model: a file, a training run's folder, the name of a shipped model, or nothing for `lite0`.

        See `lightdepth_runtime.models.find_model`, and `lightdepth_runtime.backends.open_backend` for the other
        arguments and errors; `device_reason` says why "auto" chose what it chose.
        """
        found = find_model(path)
        is_shipped = found.parent == SHIPPED_MODEL.parent
        return cls(open_backend(found, device, threads), path=None if is_shipped else Path(path or found))

    def __repr__(self) -> str:
        return f"<DepthEstimator {self.describe()}, {self.spec.input_width}x{self.spec.input_height}>"

    def describe(self) -> str:
        """Return the model's name, the file or run that was opened, precision, backend and device in a few words."""
        where = f"{self._path}, " if self._path else ""  # a run fine-tuned from lite0 is called lite0 too
        return f"{self.spec.name} ({where}{self.spec.precision}, {self._backend.name} {self._backend.device})"

    @property
    def spec(self) -> ModelSpec:
        """How the model wants its input and what its output means."""
        return self._backend.spec

    @property
    def backend(self) -> Backend:
        """What runs the network."""
        return self._backend

    @property
    def device_reason(self) -> str:
        """Why it runs on `backend.device`: half a sentence, like "since no NVIDIA GPU is here"."""
        return getattr(self._backend, "device_reason", f"the only one that {self._backend.name} has")

    @property
    def batch_size(self) -> int:
        """How many frames at a time pay in `infer_batch`: one on a processor, as many as the model takes on a GPU."""
        return 1 if self._backend.device == "cpu" else getattr(self._backend, "largest_batch", 1)

    def __call__(
        self,
        image: ImageLike,
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
        resolution: Resolution = "image",
        points: PointsLike | None = None,
    ) -> NDArray[np.float32]:
        """Estimate depth of one frame in metres, at its resolution.

        Args:
            image: uint8 (H, W, 3), or what `images.check_frame` takes: grey, alpha, 16 bit, a PIL image, a file's path.
            channel_order: "bgr" for OpenCV's arrays; it costs nothing.
            focal_px: the camera's focal length in pixels of this image. Depth is then scaled from the camera that the
                model was trained with to this one (`Intrinsics.depth_factor`); without it, it isn't.
            resolution: "model" leaves depth at the network's input size.
            points: pixels of this image whose depth is known, `(x, y, metres along the optical axis)`. They correct
                depth (`lightdepth_runtime.scale.fit_correction`); wrong ones among them are left out.

        Returns:
            float32 metres along the optical axis, (H, W) or (input_height, input_width).

        Raises:
            LightDepthError: an array that is no image, or not of the size that a model with preprocessing inside takes;
                a focal length for a model that doesn't know its own; a closed model; points outside the image, without
                a positive distance, or that agree with nothing.
        """
        [(depth_m, _)] = self._estimate([image], channel_order, focal_px, resolution, points, with_sigma=False)
        return depth_m

    def predict(
        self,
        image: ImageLike,
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
        resolution: Resolution = "image",
        points: PointsLike | None = None,
    ) -> DepthPrediction:
        """Estimate depth and sigma of one frame; arguments and errors are those of a call.

        Sigma is resized like depth. The focal length leaves it as it is, since sigma is relative to depth.

        Raises:
            LightDepthError: also for a model without sigma (`spec.sigma_tensor` is None).
        """
        sigma_tensor_of(self.spec)
        [(depth_m, sigma)] = self._estimate([image], channel_order, focal_px, resolution, points)
        return DepthPrediction(depth_m, cast("Plane", sigma))  # a model with the tensor gives it

    def depth_and_sigma(
        self,
        image: ImageLike,
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
        resolution: Resolution = "image",
    ) -> tuple[Plane, Plane | None]:
        """Estimate depth as a call does, and sigma as `predict` does; None of a model without sigma."""
        [both] = self._estimate([image], channel_order, focal_px, resolution)
        return both

    def _estimate(
        self,
        images: Sequence[ImageLike],
        channel_order: ChannelOrder,
        focal_px: float | None,
        resolution: Resolution,
        points: PointsLike | None = None,
        *,
        with_sigma: bool = True,
    ) -> Iterator[tuple[Plane, Plane | None]]:
        """Yield depth and sigma of each frame; the backend gets as many frames at once as it takes."""
        if resolution not in get_args(Resolution):
            raise LightDepthError(f"resolution is {' or '.join(get_args(Resolution))}, got {resolution!r}.")
        most = 1 if self.spec.frame_height is not None else getattr(self._backend, "largest_batch", 1)
        for start in range(0, len(images), most):
            frames = [check_frame(image, channel_order) for image in images[start : start + most]]
            sizes = [frame.shape[:2] for frame in frames]
            factors = [1.0 if focal_px is None else self.depth_factor(focal_px, *size) for size in sizes]
            with self._lock:
                batch = self._batch if len(frames) == 1 else empty_input(self._backend, len(frames))
                for frame, place in zip(frames, batch, strict=True):
                    self._fill(place, frame, channel_order)
                if with_sigma:
                    depths, sigmas = depth_and_sigma(self._backend, batch)  # (B, 3, h, w) -> (B, 1, h, w) each
                else:
                    depths, sigmas = self._backend.run(batch), None
            if self.spec.calibration is not None:  # before resizing: the network's outputs are the smaller arrays
                self.spec.calibration.apply(depths)
                if sigmas is not None:
                    self.spec.calibration.apply_sigma(sigmas)
            for number, ((height, width), factor) in enumerate(zip(sizes, factors, strict=True)):
                size = (height, width) if resolution == "image" else None
                sigma = None if sigmas is None else _own_plane(sigmas, number, size)
                depth_m = _own_plane(depths, number, size)
                if factor != 1.0:
                    np.multiply(depth_m, np.float32(factor), out=depth_m)
                yield (depth_m if points is None else correct(depth_m, points, height, width)), sigma

    def _fill(self, place: NDArray[Any], frame: NDArray[np.uint8], channel_order: ChannelOrder) -> None:
        """Turn a frame (H, W, C) into what the model takes, float32 (3, h, w) or its own frame's uint8 (H, W, 3)."""
        spec = self.spec
        if spec.frame_height is None:
            preprocess(frame, spec, place, channel_order=channel_order, buffers=self._buffers)
            return
        if frame.shape[:2] != (spec.frame_height, spec.frame_width):
            raise LightDepthError(
                f"This model takes frames of {spec.frame_width}x{spec.frame_height}, got "
                f"{frame.shape[1]}x{frame.shape[0]}; use the model without embedded preprocessing for other sizes."
            )
        as_rgb(frame, channel_order, place)

    def depth_factor(self, focal_px: float, height: int, width: int) -> float:
        """Return what depth of a (height, width) image is multiplied with for a camera of this focal length.

        Raises:
            LightDepthError: the model doesn't know the focal length that it was trained with.
        """
        if self.spec.intrinsics is None:
            raise LightDepthError(
                f"{self.spec.name} doesn't say which focal length it was trained with, so depth can't be scaled to "
                "another; call it without focal_px, or train it on data with known intrinsics."
            )
        return self.spec.intrinsics.depth_factor(focal_px, height, width)

    def infer_batch(
        self,
        images: Sequence[ImageLike],
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
        resolution: Resolution = "image",
    ) -> list[NDArray[np.float32]]:
        """Estimate depth of several frames, each of its own size; returns one array a frame, as a call gives it.

        A model with an open batch (`lightdepth export --batch dynamic`, an engine built for batches) takes several
        frames at a time, up to the backend's `largest_batch`; their depth may differ from a single call's by rounding.
        Any other takes one after another.
        """
        estimates = self._estimate(images, channel_order, focal_px, resolution, with_sigma=False)
        return [depth_m for depth_m, _ in estimates]

    def predict_batch(self, images: Sequence[ImageLike], *, resolution: Resolution = "image") -> list[DepthPrediction]:
        """Estimate depth and sigma of several frames, as `infer_batch` does depth; errors are those of `predict`."""
        sigma_tensor_of(self.spec)
        estimates = self._estimate(images, "rgb", None, resolution)
        return [DepthPrediction(depth_m, cast("Plane", sigma)) for depth_m, sigma in estimates]

    def warm_up(self, frames: int = 2) -> None:
        """Run black frames, so that the first real one doesn't pay for what backends do on first use."""
        spec = self.spec
        size = spec.frame_height or spec.input_height, spec.frame_width or spec.input_width
        for _ in range(frames):
            self(np.zeros((*size, 3), np.uint8))

    def close(self) -> None:
        """Free the model's memory once the frame in work is done; a second call does nothing."""
        with self._lock:
            self._backend.close()


def _own_plane(outputs: Plane, number: int, size: tuple[int, int] | None) -> Plane:
    """Return one output of a batch at a size, or as it is: a part of a batch is copied, or it would keep all alive."""
    plane = outputs[number].reshape(outputs.shape[-2:])  # (1, h, w), or (H, W) with preprocessing inside -> (h, w)
    if size is not None and plane.shape != size:
        return resize_depth(plane, *size)
    return plane if len(outputs) == 1 else plane.copy()
