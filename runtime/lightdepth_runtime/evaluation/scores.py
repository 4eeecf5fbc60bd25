"""Collect the scores of many images in one pass: both averages, their uncertainty, and where the errors are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass, field, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..images.preprocess import resize_depth
from ..spec import DepthKind
from .confidence import ConfidenceSums
from .metrics import (
    LOG_MEAN,
    LOG_SQUARES,
    PIXELS,
    DepthMetrics,
    NoValidDepthError,
    join_sums,
    mean_metrics,
    metric_values,
    range_sums,
    valid_pixels,
)
from .protocol import Averaging, Protocol

__all__ = ["RESAMPLES", "DepthRange", "ImageScore", "SceneScore", "Scorer", "Scores"]

RANGES_M = (0.0, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 80.0, np.inf)
RESAMPLES = 2000
INTERVAL_PERCENT = (2.5, 97.5)
# With fewer scenes than this, resampling scenes says little; single images are drawn then.
FEWEST_SCENES = 10
WORST = 10
METRICS = tuple(metric.name for metric in fields(DepthMetrics))


@dataclass(frozen=True)
class ImageScore:
    """One image's metrics, and what they are made of (11,), as in `metrics.range_sums`."""

    name: str
    scene: str
    metrics: DepthMetrics
    sums: NDArray[np.float64] = field(compare=False)  # an array has no one answer to ==


@dataclass(frozen=True)
class SceneScore:
    """The mean of one scene's per-image metrics."""

    scene: str
    samples: int
    metrics: DepthMetrics


@dataclass(frozen=True)
class DepthRange:
    """Metrics pooled over the pixels whose truth is in `low_m <= truth < high_m`; no upper end where high_m is None."""

    low_m: float
    high_m: float | None
    pixels: int
    metrics: DepthMetrics


@dataclass(frozen=True)
class Scores:
    """What many images add up to.

    `interval` holds the 2.5th and 97.5th percentile of the headline average when whole scenes (or images, see
    `resampled`) are drawn with replacement: how far another choice of places would move it. It says nothing about
    another training run.
    """

    per_image: DepthMetrics
    pooled: DepthMetrics
    interval: dict[str, tuple[float, float]]
    resampled: str
    scenes: tuple[SceneScore, ...]
    ranges: tuple[DepthRange, ...]
    worst: tuple[ImageScore, ...]

    def headline(self, averaging: Averaging) -> DepthMetrics:
        """Return the average that a protocol calls its result."""
        return self.per_image if averaging == "per-image" else self.pooled

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return the tables for a JSON file."""
        return {
            "averages": {"per-image": self.per_image.to_dict(), "pooled": self.pooled.to_dict()},
            "interval_95": {name: list(limits) for name, limits in self.interval.items()},
            "interval_resampled": self.resampled,
            "scenes": [{"scene": s.scene, "samples": s.samples, **s.metrics.to_dict()} for s in self.scenes],
            "depth_ranges": [
                {"low_m": r.low_m, "high_m": r.high_m, "pixels": r.pixels, **r.metrics.to_dict()} for r in self.ranges
            ],
            "worst_images": [{"name": i.name, "scene": i.scene, **i.metrics.to_dict()} for i in self.worst],
        }


class Scorer:
    """Take images one by one; keep a few numbers of each."""

    def __init__(self, protocol: Protocol, kind: DepthKind = "metric") -> None:
        self.protocol = protocol
        self.kind: DepthKind = kind
        self.left_out: list[str] = []  # frames whose truth has no pixel that counts
        self._images: list[ImageScore] = []
        self._ranges = range_sums(np.empty(0), np.empty(0), RANGES_M[1:-1])
        self.confidence = ConfidenceSums()

    def add(
        self,
        views: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
        name: str = "image",
        scene: str = "",
        sigma: NDArray[np.float32] | None = None,
    ) -> None:
        """Score one frame's views, each a prediction with its truth; without a pixel that counts it is left out.

        `sigma` is of the first view's prediction, relative, of its size or another.

        Raises:
            LightDepthError: a prediction that is not finite; the image is named.
        """
        before = len(self._images)
        for number, (prediction, truth_m) in enumerate(views):
            try:
                predicted, truth = valid_pixels(prediction, truth_m, self.protocol, name, kind=self.kind)
            except NoValidDepthError:
                continue
            if sigma is not None and number == 0:
                relative = resize_depth(sigma, *truth_m.shape)[self.protocol.valid(truth_m)]
                self.confidence.add(predicted, truth, relative)
            parts = range_sums(predicted, truth, RANGES_M[1:-1])
            self._ranges = join_sums(np.stack([self._ranges, parts]))
            sums = join_sums(parts)
            self._images.append(ImageScore(name, scene, DepthMetrics.from_sums(sums), sums))
        if len(self._images) == before:
            self.left_out.append(name)

    def merge(self, other: Scorer) -> None:
        """Take the images that another scorer of the same protocol took, after those taken so far."""
        assert self.protocol == other.protocol, (self.protocol, other.protocol)
        self.left_out += other.left_out
        self.confidence.merge(other.confidence)
        self._images += other._images
        self._ranges = join_sums(np.stack([self._ranges, other._ranges]))

    def scores(self) -> Scores:
        """Return the tables over all images so far.

        Raises:
            LightDepthError: there were none.
        """
        by_scene: dict[str, list[ImageScore]] = {}
        for image in self._images:
            by_scene.setdefault(image.scene, []).append(image)
        many = len(by_scene) >= FEWEST_SCENES
        groups = list(by_scene.values()) if many else [[image] for image in self._images]
        scenes = [
            SceneScore(name, len(images), mean_metrics([image.metrics for image in images]))
            for name, images in by_scene.items()
        ]
        return Scores(
            per_image=mean_metrics([image.metrics for image in self._images]),
            pooled=DepthMetrics.from_sums(join_sums(np.stack([image.sums for image in self._images]))),
            interval=_interval(groups, self.protocol.averaging),
            resampled="scenes" if many else "images",
            scenes=tuple(sorted(scenes, key=lambda scene: -scene.metrics.abs_rel)),
            ranges=tuple(
                DepthRange(low, None if high == np.inf else high, int(sums[PIXELS]), DepthMetrics.from_sums(sums))
                for low, high, sums in zip(RANGES_M, RANGES_M[1:], self._ranges, strict=False)
                if sums[PIXELS]
            ),
            worst=tuple(sorted(self._images, key=lambda image: -image.metrics.abs_rel)[:WORST]),
        )


def _interval(groups: Sequence[Sequence[ImageScore]], averaging: Averaging) -> dict[str, tuple[float, float]]:
    """Bootstrap over groups: draw as many as there are, with replacement, and average anew; always the same draws."""
    rng = np.random.default_rng(0)
    draws = rng.multinomial(len(groups), np.full(len(groups), 1 / len(groups)), size=RESAMPLES)  # (R, G) counts
    if averaging == "per-image":
        rows = [[(1.0, *astuple(image.metrics)) for image in group] for group in groups]
        totals = draws @ np.stack([np.sum(row, axis=0) for row in rows])  # (R, 10)
        values = totals[:, 1:] / totals[:, :1]
    else:
        sums = np.stack([join_sums(np.stack([image.sums for image in group])) for group in groups])  # (G, 11)
        sums[:, LOG_SQUARES] += sums[:, PIXELS] * sums[:, LOG_MEAN] ** 2  # about zero, so that they add up
        sums[:, LOG_MEAN] *= sums[:, PIXELS]
        totals = draws @ sums  # (R, 11)
        spread = totals[:, LOG_SQUARES] - totals[:, LOG_MEAN] ** 2 / totals[:, PIXELS]
        totals[:, LOG_SQUARES] = np.maximum(spread, 0)
        values = metric_values(totals)
    low, high = np.percentile(values, INTERVAL_PERCENT, axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(METRICS)}
