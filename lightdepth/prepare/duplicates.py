"""Find pairs that are there twice: equal files by hash, nearly equal images by a small grey copy of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

import numpy as np

from .facts import PairFacts
from .finding import Finding

__all__ = ["find_duplicates"]

# Correlation of 32x24 grey copies: 0.70 at most between rooms of NYU Depth V2, 0.97 between every fourth frame of a
# turning camera (TUM freiburg1_rpy); recompressed or scaled copies are above this.
NEAR_DUPLICATE = 0.995
ROWS_AT_ONCE = 1000


def find_duplicates(looked: Mapping[str, Sequence[PairFacts]]) -> list[Finding]:
    """Compare every pair with every other: files by hash, images by thumbnail."""
    everything = [(split, fact) for split, facts in looked.items() for fact in facts]
    found: list[Finding] = []
    for what, key in (("image", "color_hash"), ("depth", "depth_hash")):
        groups: dict[str, list[tuple[str, PairFacts]]] = defaultdict(list)
        for split, fact in everything:
            groups[getattr(fact, key)].append((split, fact))
        copies = [group for group in groups.values() if len(group) > 1]
        if copies:
            both = [group for group in copies if len({split for split, _ in group}) > 1]
            message = f"{len(copies)} {what} files are there more than once"
            message += f", {len(both)} of them in both splits" if both else ""
            names = tuple(" = ".join(fact.name for _, fact in group) for group in [*both, *copies])
            found.append(Finding("error" if both else "warning", "duplicates", message, tuple(dict.fromkeys(names))))
    return found + _find_near_duplicates(everything)


def _find_near_duplicates(everything: Sequence[tuple[str, PairFacts]]) -> list[Finding]:
    if not everything:
        return []
    thumbnails = np.stack([fact.thumbnail for _, fact in everything])  # (n, 768)
    within: list[str] = []
    across: list[str] = []
    for start in range(0, len(thumbnails), ROWS_AT_ONCE):
        likeness = thumbnails[start : start + ROWS_AT_ONCE] @ thumbnails.T  # (up to 1000, n)
        for row, other in zip(*np.nonzero(likeness > NEAR_DUPLICATE), strict=True):
            (split, fact), (other_split, other_fact) = everything[start + row], everything[other]
            if other <= start + row or fact.color_hash == other_fact.color_hash:
                continue
            (within if split == other_split else across).append(f"{fact.name} ~ {other_fact.name}")
    found = []
    if across:
        message = f"{len(across)} images of one split are nearly images of the other"
        found.append(Finding("error", "near_duplicates", message, tuple(across)))
    if within:
        message = f"{len(within)} pairs of nearly equal images in one split (consecutive frames teach little)"
        found.append(Finding("note", "near_duplicates", message, tuple(within)))
    return found
