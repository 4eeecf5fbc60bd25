"""A million pairs in little memory, and sent to workers at once."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import cast, overload

import numpy as np

from lightdepth_runtime.pairs import Pair

__all__ = ["CompactPairs"]

PAIRS_A_BLOCK = 4  # what one costs to open, 20 microseconds, against what its pairs share


class CompactPairs(Sequence[Pair]):
    """Pairs in pickled blocks: one object to Python, where each pair is five, and a worker would build them all."""

    def __init__(self, pairs: Sequence[Pair]) -> None:
        starts = range(0, len(pairs), PAIRS_A_BLOCK)
        blocks = [
            pickle.dumps(tuple(pairs[start : start + PAIRS_A_BLOCK]), pickle.HIGHEST_PROTOCOL) for start in starts
        ]
        self._ends = np.cumsum([len(block) for block in blocks], dtype=np.int64)
        self._content, self._count = b"".join(blocks), len(pairs)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> Pair: ...
    @overload
    def __getitem__(self, index: slice) -> list[Pair]: ...
    def __getitem__(self, index: int | slice) -> Pair | list[Pair]:
        """Return the pair at a place, or those of a slice."""
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(self._count))]
        if not -self._count <= index < self._count:
            raise IndexError(index)
        number, place = divmod(index % self._count, PAIRS_A_BLOCK)
        start = self._ends[number - 1] if number else 0
        return cast(Sequence[Pair], pickle.loads(memoryview(self._content)[start : self._ends[number]]))[place]
