"""Keep a camera's scale from frame to frame: a range finder sees one point at a time, and some frames see none."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import LightDepthError
from ..frames.motion import MotionSensor
from .correction import DepthCorrection, basis
from .fit import PRIOR, ScalePrior, cells_of, fit_correction, fit_scale, is_possible, log_ratio
from .points import KnownPoints, PointsLike

__all__ = ["ScaleTracker"]

HALF_LIFE_S = 30.0
DRIFT_STD = 0.05  # of the logarithm of the scale from one view to the next: a network's error follows what it sees
# The same place at the same distance tells nothing new a second time: its error is the same one.
DISTANCE_STEP = math.log(1.1)
FORGOTTEN = 1 / 32  # weight below which a point leaves the memory
# Share of the picture that the one before explains: less is a cut. Rooms of NYU explain 0.09 of each other by the
# median; `freiburg1_rpy`, whose camera is shaken, at least 0.25 at six frames a second. With more time between them
# frames of one camera have as little in common.
CUT, CUT_GAP_NS = 0.2, 200_000_000


@dataclass(frozen=True)
class _Seen:
    log_ratio: float
    stamp_ns: int


class ScaleTracker:
    """Correct the frames of one camera by known points, remembering what earlier frames' points said of the scale.

    A remembered point halves its weight every `half_life_s`. A point that shows the same part of the image at the same
    distance as an earlier one replaces it, so that a robot at rest doesn't become certain. A clock that goes back
    forgets all of them, as `reset` does. So does a cut where `update` is given the images, at five a second or more.

    Example:
        tracker = ScaleTracker()
        depth_m = estimator(image)
        correction = tracker.update(depth_m, [(320, 240, 1.52)], stamp_ns, image)
        correction.apply(depth_m)

    Raises:
        LightDepthError: a half-life that is not positive and finite.
    """

    def __init__(self, half_life_s: float = HALF_LIFE_S) -> None:
        if not (math.isfinite(half_life_s) and half_life_s > 0):
            raise LightDepthError(f"A half-life is a positive number of seconds, got {half_life_s}.")
        self._half_life_ns = half_life_s * 1e9
        self._seen: dict[tuple[int, int], _Seen] = {}  # by cell of the image and step of the model's distance
        self._stamp_ns: int | None = None
        self._sensor: MotionSensor | None = None  # made when an image comes: it needs OpenCV

    def reset(self) -> None:
        """Forget all points."""
        self._seen.clear()
        self._stamp_ns = None
        self._sensor = None

    def update(
        self,
        depth_m: NDArray[np.float32],
        points: PointsLike | KnownPoints,
        stamp_ns: int,
        image: NDArray[np.uint8] | None = None,
    ) -> DepthCorrection:
        """Return the correction of one frame, from its points and the remembered ones.

        Args:
            depth_m: the model's own depth (H, W), not corrected yet.
            points: this frame's, as `fit_correction` takes them; none is fine.
            stamp_ns: the frame's time in nanoseconds.
            image: the frame, uint8 (H, W, C) of any size and order of colours, to notice a cut; without it none is.

        Raises:
            LightDepthError: as `fit_correction`; nothing of this frame is remembered then.
        """
        height, width = depth_m.shape
        known = KnownPoints.read(points, height, width)
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self.reset()
        if image is not None and (self._seen or len(known)) and self._is_cut(image, stamp_ns):
            self._seen.clear()
        keys, ratios = _keys(depth_m, known)
        correction = fit_correction(depth_m, known, prior=self._prior(stamp_ns, without=set(keys)))
        self._stamp_ns = stamp_ns
        self._remember(keys, ratios - _shape(correction, known, height, width), stamp_ns)
        return correction

    def _is_cut(self, image: NDArray[np.uint8], stamp_ns: int) -> bool:
        self._sensor = self._sensor or MotionSensor()
        motion = self._sensor.update(image)
        if motion is None or self._stamp_ns is None:
            return False
        return stamp_ns - self._stamp_ns <= CUT_GAP_NS and motion.explained < CUT

    def _prior(self, stamp_ns: int, without: set[tuple[int, int]]) -> ScalePrior:
        """Return what the remembered points say of the scale; those seen again now are left to the frame's own fit."""
        ages = {key: (stamp_ns - seen.stamp_ns) / self._half_life_ns for key, seen in self._seen.items()}
        weights = {key: 0.5**age for key, age in ages.items()}
        self._seen = {key: seen for key, seen in self._seen.items() if weights[key] >= FORGOTTEN}
        used = [key for key in self._seen if key not in without]
        if not used:
            return PRIOR
        log_scale, log_std = fit_scale(
            np.array([self._seen[key].log_ratio for key in used]), np.array([weights[key] for key in used])
        )
        return ScalePrior(log_scale, min(math.hypot(log_std, DRIFT_STD), PRIOR.log_std))

    def _remember(self, keys: list[tuple[int, int]], log_ratios: NDArray[np.float64], stamp_ns: int) -> None:
        values: dict[tuple[int, int], list[float]] = {}
        for key, value, possible in zip(keys, log_ratios, is_possible(log_ratios), strict=True):
            if possible:
                values.setdefault(key, []).append(float(value))
        self._seen |= {key: _Seen(float(np.median(parts)), stamp_ns) for key, parts in values.items()}


def _keys(depth_m: NDArray[np.float32], known: KnownPoints) -> tuple[list[tuple[int, int]], NDArray[np.float64]]:
    """Return each point's cell of the image and step of distance, and its log(known / depth) (N,)."""
    ratios = log_ratio(depth_m, known)
    step = np.floor((np.log(known.depth_m) - ratios) / DISTANCE_STEP).astype(int)  # of the model's distance
    return list(zip(cells_of(known, *depth_m.shape).tolist(), step.tolist(), strict=True)), ratios


def _shape(correction: DepthCorrection, known: KnownPoints, height: int, width: int) -> NDArray[np.float64]:
    """Return the correction's logarithm at the points without that of its scale, (N,)."""
    shape = np.array(correction.coefficients[1:])  # of a smooth one; of others there is none
    return basis(*known.places(height, width))[:, 1 : 1 + len(shape)] @ shape
