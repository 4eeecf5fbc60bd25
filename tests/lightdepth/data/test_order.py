import numpy as np
import pytest

from lightdepth.data.order import EpochSampler, number_shards
from lightdepth_runtime.pairs.shard import LocalShard

PAIRS, SHARDS = 3000, 100
NUMBERS = np.arange(PAIRS) // (PAIRS // SHARDS)


def order(mixed, *, shards=NUMBERS, weights=(1.0,) * PAIRS, seed=0):
    return [index for _, index in EpochSampler(weights, seed, shards=shards, mixed=mixed)]


@pytest.mark.parametrize("mixed", [1, 8])
def test_a_pass_wants_few_shards_at_a_time_and_each_once(mixed):
    places = order(mixed)
    assert sorted(places) == list(range(PAIRS))
    come = NUMBERS[places]
    first = [int(np.flatnonzero(come == shard)[0]) for shard in range(SHARDS)]
    last = [int(np.flatnonzero(come == shard)[-1]) for shard in range(SHARDS)]
    wanted = [sum(a <= place <= b for a, b in zip(first, last, strict=True)) for place in range(PAIRS)]
    assert max(wanted) <= mixed + 1


def test_shards_and_pairs_come_in_an_order_of_their_own_each_pass():
    sampler = EpochSampler([1.0] * PAIRS, 0, 2, shards=NUMBERS, mixed=8)
    indices = [index for _, index in sampler]
    one, other = indices[:PAIRS], indices[PAIRS:]
    assert one != other
    assert list(dict.fromkeys(NUMBERS[one])) != list(dict.fromkeys(NUMBERS[other]))
    neighbours = np.mean(np.abs(np.diff(one)) == 1)
    assert neighbours < 0.1


def test_few_shards_and_zero_leave_the_order_as_it_is_without():
    assert order(SHARDS) == order(0) == order(8, shards=None)


def test_pairs_in_no_shard_are_spread_over_the_pass():
    numbers = np.concatenate([NUMBERS, np.full(1000, -1)])
    places = np.array(order(8, shards=numbers, weights=(1.0,) * len(numbers)))
    alone = np.flatnonzero(places >= PAIRS) / len(places)
    assert np.histogram(alone, 4, (0, 1))[0].min() > 150


def test_shards_are_numbered_in_their_order():
    one, other = LocalShard("a", ""), LocalShard("b", "")
    numbers, shards = number_shards([one, one, None, other])
    assert numbers.tolist() == [0, 0, -1, 1]
    assert shards == [one, other]
