"""The order of a pass: every pair at random, but packed ones only so far apart as a few shards reach."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import Sampler

from lightdepth_runtime.pairs.shard import Shard

from .read_ahead import Indices, ReadAhead

__all__ = ["EpochSampler", "number_shards"]


class EpochSampler(Sampler[tuple[int, int]]):
    """Yield (pass, index) in a new order each pass; an epoch has `passes` of them.

    Of n pairs with weight w a pass has round(w n): each as often as the whole part says, and for the rest some, drawn
    anew each pass. Where there are more shards than `mixed`, see `_mix`; else the order is any.

    The trainer sets `epoch`. There is no `set_epoch` on purpose: Accelerate would call it with its own count, which
    starts at 0 again after a resume.

    Args:
        weights: of each pair.
        seed: decides the order, together with the number of the pass.
        passes: of an epoch.
        shards: the number of each pair's shard, -1 for a pair in none.
        mixed: how many shards' pairs are mixed at a time; 0 for all.
        ahead: is told what comes, and where the sampler is.
    """

    def __init__(
        self,
        weights: Sequence[float],
        seed: int,
        passes: int = 1,
        *,
        shards: Indices | None = None,
        mixed: int = 0,
        ahead: ReadAhead | None = None,
    ) -> None:
        values = np.asarray(weights)
        self._groups = [(weight, np.flatnonzero(values == weight)) for weight in dict.fromkeys(weights)]
        self._seed, self._passes, self._ahead = seed, passes, ahead
        self._shards = np.full(len(values), -1) if shards is None else shards
        self._count = int(self._shards.max(initial=-1)) + 1
        self._mixed = mixed if 0 < mixed < self._count else 0
        self.epoch = 0

    def __len__(self) -> int:
        return self._passes * sum(round(weight * len(indices)) for weight, indices in self._groups)

    def __iter__(self) -> Iterator[tuple[int, int]]:
        for number in range(self.epoch * self._passes, (self.epoch + 1) * self._passes):
            order = self._order(number)
            if self._ahead:
                self._ahead.plan(order)
            for place, index in enumerate(order.tolist()):
                if self._ahead:
                    self._ahead.reach(place)
                yield number, index

    def _order(self, number: int) -> Indices:
        rng = np.random.default_rng((self._seed, number))
        chosen: list[Indices] = []
        for weight, indices in self._groups:
            whole, rest = divmod(round(weight * len(indices)), len(indices))
            chosen += [indices] * whole
            if rest:
                chosen.append(rng.choice(indices, rest, replace=False))
        pairs = np.concatenate(chosen)
        return self._mix(pairs, rng) if self._mixed else rng.permutation(pairs)

    def _mix(self, pairs: Indices, rng: np.random.Generator) -> Indices:
        """Order pairs so that any stretch asks for few shards (as "py1e" of MosaicML Streaming).

        Shards come in random order, one each unit of time; each pair comes at a random moment of the `mixed` units
        from its shard's arrival on. So shards come one by one, and at most `mixed` + 1 are wanted at any moment.
        """
        shard = self._shards[pairs]
        arrival = np.where(shard >= 0, rng.permutation(self._count)[shard], rng.random(len(pairs)) * self._count)
        return pairs[np.argsort(arrival + self._mixed * rng.random(len(pairs)), kind="stable")]


def number_shards(shards: Sequence[Shard | None]) -> tuple[Indices, list[Shard]]:
    """Return a number for each pair's shard, -1 for None, and the shards that are numbered."""
    # By itself, since comparing a million of them by value takes seconds.
    found = {id(shard): shard for shard in shards if shard is not None}
    numbers = {identity: number for number, identity in enumerate(found)}
    return np.array([numbers.get(id(shard), -1) for shard in shards], np.int64), list(found.values())
