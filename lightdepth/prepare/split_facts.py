"""What one split of a data set is, in one line."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lightdepth_runtime.pairs import PairSet

from .facts import MAX_SHIFT, PairFacts

__all__ = ["SplitFacts", "summarise"]


@dataclass(frozen=True)
class SplitFacts:
    """What one split is; medians and extremes of depth in metres, shares of pixels."""

    split: str
    packaging: str
    pairs: int
    read: int
    scenes: int
    median_m: float
    least_m: float
    most_m: float
    holes: float
    saturated_depth: float
    sizes: dict[str, int]
    bits: dict[str, int]
    edge_agreement: float
    edge_shift_px: tuple[float, float]
    focal_px: tuple[float, float] | None
    depth_unit: str

    def line(self) -> str:
        """Say it in one line."""
        sizes = ", ".join(f"{size} ({count})" for size, count in self.sizes.items())
        bits = ", ".join(f"{bits}-bit ({count})" for bits, count in self.bits.items())
        focal = f", focal length {self.focal_px[0]:.1f}, {self.focal_px[1]:.1f} px" if self.focal_px else ""
        scenes = f"{self.scenes} scene{'s' * (self.scenes != 1)}"
        return (
            f"{self.split}: {self.packaging}, {self.read} of {self.pairs} pairs read, {scenes}, {sizes}, "
            f"depth {bits or 'as stored'} {self.depth_unit}, "
            f"median {self.median_m:.2f} m ({self.least_m:.2f} to {self.most_m:.2f}), "
            f"holes {self.holes:.1%}, saturated {self.saturated_depth:.1%}, "
            f"edges agree {self.edge_agreement:.2f}{focal}"
        )


def summarise(pairs: PairSet, facts: Sequence[PairFacts]) -> SplitFacts:
    """Add up what the pairs of a split are."""
    with_depth = [fact for fact in facts if fact.median_m > 0]
    edges = np.mean([fact.edges for fact in facts], axis=0)
    row, column = np.unravel_index(int(edges.argmax()), edges.shape)
    scale = float(np.median([fact.width for fact in facts])) / 160
    camera = pairs.intrinsics
    return SplitFacts(
        split=pairs.split,
        packaging=pairs.packaging,
        pairs=len(pairs),
        read=len(facts),
        scenes=len({fact.scene for fact in facts}),
        median_m=float(np.median([fact.median_m for fact in with_depth])) if with_depth else 0.0,
        least_m=min((fact.least_m for fact in with_depth), default=0.0),
        most_m=max((fact.most_m for fact in with_depth), default=0.0),
        holes=float(np.mean([fact.holes for fact in facts])),
        saturated_depth=float(np.mean([fact.saturated_depth for fact in facts])),
        sizes=dict(Counter(f"{fact.width}x{fact.height}" for fact in facts).most_common()),
        bits=dict(Counter(str(fact.bits) for fact in facts if fact.bits).most_common()),
        edge_agreement=float(edges[MAX_SHIFT, MAX_SHIFT]),
        edge_shift_px=((float(column) - MAX_SHIFT) * scale, (float(row) - MAX_SHIFT) * scale),
        focal_px=(camera.fx, camera.fy) if camera else None,
        depth_unit=", ".join(sorted({pair.depth_unit or "of no declared unit" for pair in pairs.pairs})),
    )
