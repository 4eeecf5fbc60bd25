"""Further data sets beside the main one: each with its own camera, and a weight that says how often it is seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import FrameData, Pair, PairSet, load_pairs
from lightdepth_runtime.pairs.packed import PackedPair
from lightdepth_runtime.pairs.shard import Shard, ShardCache
from lightdepth_runtime.spec import Intrinsics

from ..config import ExtraData

__all__ = ["ExtraPair", "add_extra_data", "plain_pair", "scale_to", "shards_of", "weights_of"]


@dataclass(frozen=True)
class ExtraPair:
    """A pair of another set; its depth is multiplied by `factor`, which brings it to the main set's focal length."""

    pair: Pair
    weight: float
    factor: float = 1.0
    camera: Intrinsics | None = None  # the main set's, once depth is brought to its focal length

    @property
    def name(self) -> str:
        """Name it as the pair itself."""
        return self.pair.name

    @property
    def scene(self) -> str:
        """Name its place as the pair itself."""
        return self.pair.scene

    @property
    def depth_unit(self) -> str | None:
        """Name its unit as the pair itself."""
        return self.pair.depth_unit

    @property
    def intrinsics(self) -> Intrinsics | None:
        """Return the camera that its depth is true for."""
        return self.camera or self.pair.intrinsics

    def read(self) -> FrameData:
        """Read it, in the metres that the main set's camera would have measured."""
        frame = self.pair.read()
        return frame if self.factor == 1.0 else FrameData(frame.image, frame.depth_m * np.float32(self.factor))


def add_extra_data(
    pairs: PairSet,
    extra: Sequence[ExtraData],
    camera: Intrinsics | None,
    *,
    canonical_focal: bool,
    cache: ShardCache | None = None,
) -> PairSet:
    """Return the training pairs with those of further sets behind them.

    Args:
        pairs: the main set's.
        extra: paths and weights of the others; each one's train split is taken.
        camera: the main set's.
        canonical_focal: bring every set's depth to the main set's focal length. A network reads distance from apparent
            size, which a longer lens makes larger: see `Intrinsics.depth_factor`.
        cache: of what is fetched from a URL.

    Raises:
        LightDepthError: no data at a path, or a set that doesn't tell its camera where that is needed.
    """
    added: list[Pair] = []
    for item in extra:
        found = load_pairs(item.path, "train", cache=cache)
        for pair in found.pairs:
            factor = _factor(found, pair.intrinsics or found.intrinsics, camera) if canonical_focal else 1.0
            added.append(ExtraPair(pair, item.weight, factor, camera if canonical_focal else None))
    return replace(pairs, pairs=[*pairs.pairs, *added])


def weights_of(pairs: Sequence[Pair]) -> list[float]:
    """Return how often each pair is seen in a pass, on average: 1 for those of the main set."""
    return [pair.weight if isinstance(pair, ExtraPair) else 1.0 for pair in pairs]


def shards_of(pairs: Sequence[Pair]) -> list[Shard | None]:
    """Return the shard that each pair lies in, or None where it is no packed one."""
    return [pair.shard if isinstance(pair, PackedPair) else None for pair in map(plain_pair, pairs)]


def plain_pair(pair: Pair) -> Pair:
    """Return the pair itself, without the weight and the camera that this run gives it."""
    return pair.pair if isinstance(pair, ExtraPair) else pair


def _factor(pairs: PairSet, own: Intrinsics | None, camera: Intrinsics | None) -> float:
    """Return what depth through a set's camera is multiplied by to be that of the main set's."""
    if camera is None or own is None:
        which, way = str(pairs.root), "add a line `# intrinsics: fx fy cx cy width height` to its list"
        if camera is None:
            which, way = "The main data set", "set `intrinsics` to [fx, fy, cx, cy, width, height]"
        raise LightDepthError(
            f"{which} doesn't tell its camera, which canonical_focal needs to bring all sets to one focal length; "
            f"{way}, or set canonical_focal to false."
        )
    return scale_to(camera, own)


def scale_to(camera: Intrinsics, own: Intrinsics) -> float:
    """Return what depth seen through `own` is multiplied by to look as if `camera` had seen it."""
    return 1 / camera.depth_factor((own.fx * own.fy) ** 0.5, own.height, own.width)
