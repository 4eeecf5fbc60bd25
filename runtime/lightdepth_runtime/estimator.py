"""DepthEstimator: an image in, metres out, at the image's resolution."""

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self, cast

import numpy as np
from numpy.typing import NDArray

from .backends import Backend, open_backend
from .errors import LightDepthError
from .images import ChannelOrder, as_rgb, preprocess, resize_depth
from .spec import ModelSpec

__all__ = ["SHIPPED_MODEL", "DepthEstimator"]

SHIPPED_MODEL = Path(__file__).parent / "models" / "lite0.onnx"


class DepthEstimator:
    """Estimate metric depth with any LightDepth model.

    Example:
        estimator = DepthEstimator.load("model.onnx")
        depth_m = estimator(image)  # uint8 RGB (H, W, 3) -> float32 (H, W) metres
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @classmethod
    def load(cls, path: Path | str | None = None, device: str = "auto", threads: int | None = None) -> Self:
        """Open a model file, or the shipped model where none is named.

        See `lightdepth_runtime.backends.open_backend` for the other arguments and errors.
        """
        if path is None and not SHIPPED_MODEL.is_file():
            raise LightDepthError("This version ships no model; name a .onnx or .safetensors file.")
        return cls(open_backend(Path(path or SHIPPED_MODEL), device, threads))

    @property
    def spec(self) -> ModelSpec:
        """How the model wants its input and what its output means."""
        return self._backend.spec

    @property
    def backend(self) -> Backend:
        """What runs the network."""
        return self._backend

    def __call__(self, image: NDArray[np.generic], *, channel_order: ChannelOrder = "rgb") -> NDArray[np.float32]:
        """Estimate depth of one frame.

        Args:
            image: uint8 (H, W, 3), or what `images.as_rgb` converts: grey, alpha, 16 bit.
            channel_order: "bgr" for OpenCV's arrays.

        Returns:
            float32 (H, W) metres along the optical axis, at the frame's resolution.

        Raises:
            LightDepthError: an array that is no image, or not of the size that a model with preprocessing inside takes.
        """
        rgb = as_rgb(image, channel_order)
        if self.spec.frame_height is not None:
            return self._run_frame(rgb)
        batch = preprocess(rgb, self.spec)[None]  # (H, W, 3) -> (1, 3, h, w)
        return resize_depth(self._backend.run(batch)[0, 0], *rgb.shape[:2])  # (1, 1, h, w) -> (H, W)

    def _run_frame(self, rgb: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Run a model that resizes and normalises by itself: (H, W, 3) -> (H, W)."""
        spec = self.spec
        if rgb.shape[:2] != (spec.frame_height, spec.frame_width):
            raise LightDepthError(
                f"This model takes frames of {spec.frame_width}x{spec.frame_height}, got {rgb.shape[1]}x{rgb.shape[0]};"
                " use the model without embedded preprocessing for other sizes."
            )
        frame = np.ascontiguousarray(rgb)[None]  # (H, W, 3) -> (1, H, W, 3)
        return self._backend.run(cast(NDArray[np.float32], frame))[0]  # uint8 here, as the spec says

    def infer_batch(
        self, images: Sequence[NDArray[np.generic]], *, channel_order: ChannelOrder = "rgb"
    ) -> list[NDArray[np.float32]]:
        """Estimate depth of several frames, of any sizes; returns one (H, W) array a frame."""
        return [self(image, channel_order=channel_order) for image in images]

    def close(self) -> None:
        """Free the model's memory."""
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
