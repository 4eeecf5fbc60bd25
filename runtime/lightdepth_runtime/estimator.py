"""DepthEstimator: an image in, metres out, at the image's resolution."""

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from .backends import Backend, open_backend
from .backends.backend import depth_and_sigma, empty_input, sigma_tensor_of
from .closing import Closing
from .errors import LightDepthError
from .images.preprocess import ChannelOrder, FrameBuffers, ImageLike, check_frame, copy_rgb, preprocess, resize_depth
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
        return self._estimate(image, channel_order, focal_px, resolution, points, with_sigma=False)[0]

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
        depth_m, sigma = self._estimate(image, channel_order, focal_px, resolution, points)
        assert sigma is not None, "a model with the tensor gives it"
        return DepthPrediction(depth_m, sigma)

    def depth_and_sigma(
        self,
        image: ImageLike,
        *,
        channel_order: ChannelOrder = "rgb",
        focal_px: float | None = None,
        resolution: Resolution = "image",
    ) -> tuple[Plane, Plane | None]:
        """Estimate depth as a call does, and sigma as `predict` does; None of a model without sigma."""
        return self._estimate(image, channel_order, focal_px, resolution)

    def _estimate(
        self,
        image: ImageLike,
        channel_order: ChannelOrder,
        focal_px: float | None,
        resolution: Resolution,
        points: PointsLike | None = None,
        *,
        with_sigma: bool = True,
    ) -> tuple[Plane, Plane | None]:
        _check_resolution(resolution)
        frame = check_frame(image, channel_order)
        height, width = frame.shape[:2]
        factor = 1.0 if focal_px is None else self.depth_factor(focal_px, height, width)
        with self._lock:
            batch = self._input(frame, channel_order)
            depth_m, sigma = depth_and_sigma(self._backend, batch) if with_sigma else (self._backend.run(batch), None)
        if sigma is not None:
            sigma = self._finish_sigma(_plane(sigma), height, width, resolution)
        depth_m = self._finish(_plane(depth_m), height, width, factor, resolution)
        return (depth_m if points is None else correct(depth_m, points, height, width)), sigma

    def _input(self, frame: NDArray[np.uint8], channel_order: ChannelOrder) -> NDArray[np.float32]:
        """Turn a frame (H, W, C) into what the model takes; the array is the next frame's too."""
        spec = self.spec
        if spec.frame_height is None:
            preprocess(frame, spec, self._batch[0], channel_order=channel_order, buffers=self._buffers)
            return self._batch
        if frame.shape[:2] != (spec.frame_height, spec.frame_width):
            raise LightDepthError(
                f"This model takes frames of {spec.frame_width}x{spec.frame_height}, got "
                f"{frame.shape[1]}x{frame.shape[0]}; use the model without embedded preprocessing for other sizes."
            )
        copy_rgb(frame, cast("NDArray[np.uint8]", self._batch[0]), channel_order)  # (1, H, W, 3), as the spec says
        return self._batch

    def _finish(self, depth_m: Plane, height: int, width: int, factor: float, resolution: Resolution) -> Plane:
        """Turn the network's output (h, w) into the caller's depth."""
        if self.spec.calibration is not None:  # before resizing: the network's output is the smaller array
            self.spec.calibration.apply(depth_m)
        if resolution == "image":
            depth_m = resize_depth(depth_m, height, width)  # (h, w) -> (H, W)
        return depth_m if factor == 1.0 else np.multiply(depth_m, np.float32(factor), out=depth_m)

    def _finish_sigma(self, sigma: Plane, height: int, width: int, resolution: Resolution) -> Plane:
        if self.spec.calibration is not None:
            self.spec.calibration.apply_sigma(sigma)
        return resize_depth(sigma, height, width) if resolution == "image" else sigma  # (h, w) -> (H, W)

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
        _check_resolution(resolution)
        if self._most_at_once() == 1:
            return [self(i, channel_order=channel_order, focal_px=focal_px, resolution=resolution) for i in images]
        runs = self._run_batches(images, channel_order, lambda batch: (self._backend.run(batch),))
        return [self._finish_own(depth_m, size, focal_px, resolution) for size, (depth_m,) in runs]

    def predict_batch(self, images: Sequence[ImageLike], *, resolution: Resolution = "image") -> list[DepthPrediction]:
        """Estimate depth and sigma of several frames, as `infer_batch` does depth; errors are those of `predict`."""
        _check_resolution(resolution)
        sigma_tensor_of(self.spec)
        if self._most_at_once() == 1:
            return [self.predict(image, resolution=resolution) for image in images]
        predictions = []
        for size, (depth_m, sigma) in self._run_batches(images, "rgb", self._backend.run_both):
            sigma = self._finish_sigma(sigma.copy(), *size, resolution)
            predictions.append(DepthPrediction(self._finish_own(depth_m, size, None, resolution), sigma))
        return predictions

    def _most_at_once(self) -> int:
        return 1 if self.spec.frame_height is not None else getattr(self._backend, "largest_batch", 1)

    def _run_batches(
        self, images: Sequence[ImageLike], channel_order: ChannelOrder, run: Callable[[Plane], tuple[Plane, ...]]
    ) -> Iterator[tuple[tuple[int, int], list[Plane]]]:
        """Yield each frame's size (H, W) and its outputs (h, w), which are parts of a batch."""
        most = self._most_at_once()
        for start in range(0, len(images), most):
            frames = [check_frame(image, channel_order) for image in images[start : start + most]]
            with self._lock:
                batch = empty_input(self._backend, len(frames))
                for frame, plane in zip(frames, batch, strict=True):
                    preprocess(frame, self.spec, plane, channel_order=channel_order, buffers=self._buffers)
                outputs = run(batch)  # (B, 3, h, w) -> (B, 1, h, w) each
            for number, frame in enumerate(frames):
                yield (frame.shape[0], frame.shape[1]), [output[number, 0] for output in outputs]

    def _finish_own(
        self, depth_m: Plane, size: tuple[int, int], focal_px: float | None, resolution: Resolution
    ) -> Plane:
        """Turn a part of a batch into the caller's depth; what is not resized is copied, or it would keep all alive."""
        factor = 1.0 if focal_px is None else self.depth_factor(focal_px, *size)
        is_resized = resolution == "image" and depth_m.shape != size
        return self._finish(depth_m if is_resized else depth_m.copy(), *size, factor, resolution)

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


def _plane(output: NDArray[np.float32]) -> NDArray[np.float32]:
    return output.reshape(output.shape[-2:])  # (1, 1, h, w), or (1, H, W) with preprocessing inside -> (h, w)


def _check_resolution(resolution: Resolution) -> None:
    if resolution not in get_args(Resolution):
        raise LightDepthError(f"resolution is {' or '.join(get_args(Resolution))}, got {resolution!r}.")
