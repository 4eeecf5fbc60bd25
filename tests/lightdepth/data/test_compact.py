import pickle

from lightdepth.data.compact import CompactPairs
from lightdepth_runtime.pairs import load_pairs


def test_compact_pairs_are_the_same_pairs_also_in_a_worker(tum):
    pairs = [*load_pairs(tum, "train").pairs, *load_pairs(tum, "test").pairs]
    for compact in (CompactPairs(pairs), pickle.loads(pickle.dumps(CompactPairs(pairs)))):
        assert [compact[place] for place in range(len(compact))] == pairs


def test_a_pair_takes_little_memory(tum):
    pairs = load_pairs(tum, "train").pairs * 250
    assert len(pickle.dumps(CompactPairs(pairs))) < 50 * len(pairs)
