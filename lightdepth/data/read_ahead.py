"""Fetch shards from a URL in the background, in the order in which the sampler will ask for them."""

from __future__ import annotations

import queue
import threading
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.shard import RemoteShard, Shard

__all__ = ["ReadAhead", "read_ahead"]

Indices = NDArray[np.int64]
MOST_AHEAD = 4  # shards that are fetched at once: one connection rarely fills the line


def read_ahead(numbers: Indices, shards: Sequence[Shard], *, mixed: int, in_flight: int) -> ReadAhead | None:
    """Return what fetches ahead, or None where no pair lies at a URL.

    Args:
        numbers: of each pair's shard, -1 for a pair in none.
        shards: that are numbered.
        mixed: how many shards' pairs are mixed at a time; 0 for all.
        in_flight: pairs that workers may still have to read when the sampler has gone on.

    Raises:
        LightDepthError: the cache can't hold what is mixed at a time, so that each shard would come many times.
    """
    remote = [shard for shard in shards if isinstance(shard, RemoteShard)]
    if not remote:
        return None
    largest, total = max(shard.size_bytes for shard in remote), sum(shard.size_bytes for shard in remote)
    limit = remote[0].cache.limit_bytes
    at_once = min(mixed or len(remote), len(remote))
    ahead = min(MOST_AHEAD, limit // largest - at_once - 1) if total > limit else MOST_AHEAD
    if ahead < 1:
        raise LightDepthError(
            f"shard_cache_gb {limit / 1e9:g} holds {limit // largest} of the {len(remote)} shards at the URL, and "
            f"shuffle_shards {mixed} needs {at_once + 2} at a time ({(at_once + 2) * largest / 1e9:.2g} GB); raise "
            "shard_cache_gb, or set shuffle_shards lower."
        )
    return ReadAhead(numbers, shards, ahead=ahead, in_flight=in_flight)


class ReadAhead:
    """Threads that fetch the next few shards of a pass.

    A shard that can't be had is left to the pair that needs it, whose reading names what is wrong.
    """

    def __init__(self, numbers: Indices, shards: Sequence[Shard], *, ahead: int, in_flight: int) -> None:
        self._numbers, self._shards, self._ahead, self._in_flight = numbers, shards, ahead, in_flight
        self._wanted: queue.SimpleQueue[tuple[RemoteShard, list[RemoteShard]]] = queue.SimpleQueue()
        for _ in range(ahead):
            threading.Thread(target=self._fetch, daemon=True).start()

    def plan(self, order: Indices) -> None:
        """Begin a pass whose pairs come in `order`."""
        numbers = self._numbers[order]
        present, first = np.unique(numbers, return_index=True)
        _, last = np.unique(numbers[::-1], return_index=True)
        is_remote = [number >= 0 and isinstance(self._shards[number], RemoteShard) for number in present]
        come = np.argsort(first)
        come = come[np.array(is_remote)[come]]
        self._coming = [self._shards[number] for number in present[come]]
        self._first, self._last = first[come], len(numbers) - 1 - last[come]
        self._asked = 0

    def reach(self, place: int) -> None:
        """Note that the pass is at `place`; ask for the shards after those that it has come to."""
        while self._asked < len(self._coming) and self._first[max(0, self._asked - self._ahead)] <= place:
            still = np.flatnonzero(self._last[: self._asked] >= place - self._in_flight)
            self._wanted.put((self._coming[self._asked], [self._coming[number] for number in still]))
            self._asked += 1

    def _fetch(self) -> None:
        while True:
            shard, still = self._wanted.get()
            for other in still:  # so that none of them goes to make room
                other.touch()
            try:
                shard.fetch()
            except LightDepthError:
                continue
