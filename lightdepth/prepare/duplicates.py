"""Find pairs that are there twice: equal files by hash, nearly equal images by a small grey copy of each."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .facts import PairFacts
from .finding import Finding

if TYPE_CHECKING:  # SciPy takes long to import
    from scipy.spatial import KDTree

__all__ = ["find_duplicates"]

# Correlation of 32x24 grey copies: 0.70 at most between rooms of NYU Depth V2, 0.97 between every fourth frame of a
# turning camera (TUM freiburg1_rpy); recompressed or scaled copies are above this.
NEAR_DUPLICATE = 0.995
# Unit vectors of that correlation are at most this far apart, in any projection too.
NEAR_DISTANCE = float(np.sqrt(2 - 2 * NEAR_DUPLICATE))
INDEX_DIMENSIONS = 16  # principal components that the index holds; they tell nearly all images apart
FITTED_ON = 20_000  # images that the components are fitted on
NEIGHBOURS = 8  # looked at first; more where none of them settles the question
NAMES_KEPT = 100


def find_duplicates(looked: Mapping[str, Sequence[PairFacts]]) -> Iterator[Finding]:
    """Name files that are there more than once, by hash, and images that are nearly another, by thumbnail.

    A finding counts all and names the first hundred.
    """
    for what, key in (("image", "color_hash"), ("depth", "depth_hash")):
        groups: dict[str, list[tuple[str, PairFacts]]] = defaultdict(list)
        for split, facts in looked.items():
            for fact in facts:
                groups[getattr(fact, key)].append((split, fact))
        copies = [group for group in groups.values() if len(group) > 1]
        if copies:
            both = [group for group in copies if len({split for split, _ in group}) > 1]
            message = f"{len(copies)} {what} files are there more than once"
            message += f", {len(both)} of them in both splits" if both else ""
            names = dict.fromkeys(
                " = ".join(fact.name for _, fact in group[:NAMES_KEPT]) for group in [*both, *copies][:NAMES_KEPT]
            )
            yield Finding("error" if both else "warning", "duplicates", message, tuple(names))
    yield from _find_near_duplicates(looked)


def _find_near_duplicates(looked: Mapping[str, Sequence[PairFacts]]) -> Iterator[Finding]:
    """Compare distinct images through an index of their principal components: about linear in their number."""
    # Equal files are reported already: one of each stands for all.
    splits = [list({fact.color_hash: fact for fact in facts}.values()) for facts in looked.values() if facts]
    if not splits:
        return
    components = _principal_components([fact for facts in splits for fact in facts])
    across = [pair for i in range(len(splits)) for j in range(i) for pair in _matches(splits[i], splits[j], components)]
    if across:
        message = f"{len(across)} images of one split are nearly images of the other"
        yield Finding("error", "near_duplicates", message, tuple(across[:NAMES_KEPT]))
    within = [pair for facts in splits for pair in _matches(facts, facts, components)]
    if within:
        message = f"{len(within)} images are nearly an earlier one of their split (consecutive frames teach little)"
        yield Finding("note", "near_duplicates", message, tuple(within[:NAMES_KEPT]))


def _principal_components(facts: Sequence[PairFacts]) -> NDArray[np.float32]:
    """Return an orthonormal basis (768, d) of the directions in which the thumbnails differ most."""
    step = -(-len(facts) // FITTED_ON)
    sample = np.stack([fact.thumbnail for fact in facts[::step]])  # (n, 768)
    _, vectors = np.linalg.eigh(sample.T @ sample)  # the largest last
    return vectors[:, -INDEX_DIMENSIONS:].astype(np.float32)


def _matches(
    images: Sequence[PairFacts], others: Sequence[PairFacts], components: NDArray[np.float32]
) -> Iterator[str]:
    """Yield `image ~ other` for each image that is nearly one of the others, or an earlier one of its own list."""
    from scipy.spatial import KDTree

    tree = KDTree([fact.thumbnail @ components for fact in others])
    for number, image in enumerate(images):
        for place in _neighbours(tree, image.thumbnail @ components):
            other = others[place]
            is_other = place < number if images is others else other.color_hash != image.color_hash
            if is_other and float(other.thumbnail @ image.thumbnail) > NEAR_DUPLICATE:
                yield f"{image.name} ~ {other.name}"
                break


def _neighbours(tree: KDTree, point: NDArray[np.float32]) -> Iterator[int]:
    """Yield the places of what lies near a point, nearest first, asked for in growing numbers: few are looked at."""
    count, yielded = NEIGHBOURS, 0
    limit = NEAR_DISTANCE * (1 + 1e-4)  # rounding must not lose one
    while yielded < tree.n:
        _, found = tree.query(point, k=count, distance_upper_bound=limit)
        near = np.asarray(found)
        yield from near[yielded:][near[yielded:] < tree.n].tolist()  # tree.n stands for nothing so near
        if near[-1] == tree.n:
            return
        count, yielded = 4 * count, count
