"""A teacher for training: a trained model that predicts depth where the truth has none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.atomic import sha256_of_file
from lightdepth_runtime.closing import Closing
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.alignment import DepthFit, fit_alignment
from lightdepth_runtime.images.preprocess import resize_depth
from lightdepth_runtime.models.find import BEST, find_model
from lightdepth_runtime.spec import DepthKind, Intrinsics

from ..baselines.names import DEPTH_ANYTHING_SMALL, HUB_REPOSITORIES

if TYPE_CHECKING:  # PyTorch takes seconds to import, and an ONNX teacher needs none of it
    from ..checkpoints.checkpoint import Checkpoint

__all__ = ["Teacher", "load_feature_teacher"]

FEWEST_PIXELS = 100  # of truth, to fit a relative teacher's scale and shift to


class Teacher(Closing):
    """A LightDepth model of any kind, or Depth Anything V2, asked for the depth of one frame after another.

    `own` are the arguments with which workers open the same one for themselves, where it runs on the CPU: there that
    takes nothing from the others, and spares moving frames from process to process. None where all ask this one.

    Args:
        source: what `find_model` takes, such as a file or `lite0`; a name of `HUB_REPOSITORIES`; or a folder with
            Depth Anything V2's weights in transformers' format, relative or metric.
        device: as `DepthEstimator.load` takes it.
        threads: of the CPU.

    Raises:
        LightDepthError: no such model, or it can't be opened.
    """

    def __init__(self, source: str, device: str = "auto", threads: int | None = None) -> None:
        path = Path(source)
        self.source = source
        self.intrinsics: Intrinsics | None = None
        self.own: tuple[str, str, int] | None = None
        self.kind: DepthKind = "metric"
        if source in HUB_REPOSITORIES or (path.is_dir() and not (path / BEST).is_file()):
            from ..baselines.baseline import Baseline

            weights, name = ("hub", source) if source in HUB_REPOSITORIES else (source, DEPTH_ANYTHING_SMALL)
            self._model = Baseline(weights, name, device=device, threads=threads)
            self.kind = self._model.model.kind
            self.id = self._model.model.digest()
            return
        path = find_model(source, also=HUB_REPOSITORIES)
        self._model = DepthEstimator.load(path, device, threads)
        self.intrinsics = self._model.spec.intrinsics
        if self._model.backend.device == "cpu":
            self.own = str(path), device, threads or 1
        self.id = sha256_of_file(path)

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Predict a frame (H, W, 3): (h, w) of the model's own resolution, in metres or as relative inverse depth."""
        if isinstance(self._model, DepthEstimator):
            return self._model(image, resolution="model")
        return self._model(image)

    @property
    def batch_size(self) -> int:
        """How many frames at a time pay in `predict_batch`."""
        return self._model.batch_size if isinstance(self._model, DepthEstimator) else 1

    def predict_batch(self, images: Sequence[NDArray[np.uint8]]) -> list[NDArray[np.float32]]:
        """Predict several frames; each as a call does, up to rounding."""
        if self.batch_size > 1 and isinstance(self._model, DepthEstimator):
            return self._model.infer_batch(images, resolution="model")
        return [self(image) for image in images]

    def fit(
        self,
        prediction: NDArray[np.float32],
        image: NDArray[np.uint8],
        truth_m: NDArray[np.float32],
        camera: Intrinsics | None,
    ) -> DepthFit:
        """Return what turns a prediction (h, w) of an image (H, W, 3) into metres.

        A metric LightDepth model's depth is scaled from the camera that it was trained with to `camera`, where both are
        known. A relative model's scale and shift are fitted to the truth (H, W), in inverse depth.

        Raises:
            LightDepthError: a relative model, and hardly any truth to fit it to.
        """
        height, width = image.shape[:2]
        if self.kind == "metric":
            if self.intrinsics is None or camera is None:
                return DepthFit()
            return DepthFit(scale=self.depth_factor(camera.fx * width / camera.width, height, width))
        valid = truth_m > 0
        if np.count_nonzero(valid) < FEWEST_PIXELS:
            raise LightDepthError(
                f"{self.source} predicts relative inverse depth, whose scale and shift must be fitted to measured "
                "depth, and this image has none; use a metric teacher for images without depth."
            )
        return fit_alignment(resize_depth(prediction, height, width)[valid], truth_m[valid], "scale-shift", self.kind)

    def depth_factor(self, focal_px: float, height: int, width: int) -> float:
        """Return what depth of a (height, width) image is multiplied with for a camera of this focal length.

        Raises:
            LightDepthError: the teacher doesn't know the focal length that it was trained with.
        """
        if self.intrinsics is None:
            raise LightDepthError(
                f"{self.source} doesn't say which focal length it was trained with, so its depth can't be scaled to "
                "another; leave --focal-px away, or use another teacher."
            )
        return self.intrinsics.depth_factor(focal_px, height, width)

    def close(self) -> None:
        """Free the model."""
        self._model.close()


def load_feature_teacher(source: str) -> Checkpoint:
    """Load the teacher whose features are matched: they are inside the network, which only a checkpoint opens.

    Args:
        source: a checkpoint, or a training run's folder, which stands for its best.

    Raises:
        LightDepthError: another kind of model.
    """
    best = Path(source) / BEST
    path = best if best.is_file() else Path(source)
    if path.suffix != ".safetensors":
        raise LightDepthError(
            f"feature_weight matches the features of the teacher's encoder, and {source} gives its depth alone; name a "
            "checkpoint (.safetensors, or a training run's folder) in distill_from, or set feature_weight to 0."
        )
    from ..checkpoints.checkpoint import load_checkpoint

    return load_checkpoint(path)
