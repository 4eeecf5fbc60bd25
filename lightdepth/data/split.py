"""Hold out pairs to validate on: whole scenes, or a block of frames where there is one scene."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import PairSet, scenes_of

__all__ = ["split_pairs"]

GAP_SHARE = 0.05  # of a recording's frames, left out on both sides of the block
MOST_GAP = 30  # frames: a second of video


def split_pairs(pairs: PairSet, share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Hold out about `share` of the pairs; returns (train, validation), whose notes say what was done.

    Frames of one room are near copies, and a split by frame would validate on what was trained on. Whole scenes are
    held out, chosen by the seed, until the share is reached. A single scene gives a block of consecutive frames, and
    the frames next to it are left out of both.

    Raises:
        LightDepthError: a single scene of fewer than three pairs.
    """
    scenes = scenes_of(pairs)
    if len(scenes) < 2:
        return _split_block(pairs, share, seed)
    order = np.random.default_rng(seed).permutation(len(scenes))
    held_out: set[str] = set()
    counts = Counter(pair.scene for pair in pairs.pairs)
    for position in order[:-1]:
        if sum(counts[scene] for scene in held_out) >= share * len(pairs):
            break
        held_out.add(scenes[position])
    validation = [i for i, pair in enumerate(pairs.pairs) if pair.scene in held_out]
    training = [i for i, pair in enumerate(pairs.pairs) if pair.scene not in held_out]
    return _parts(pairs, training, validation, f"{len(held_out)} of {len(scenes)} scenes")


def _split_block(pairs: PairSet, share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Hold out consecutive frames of the only scene, at a place that the seed chooses."""
    count = len(pairs)
    if count < 3:
        raise LightDepthError(
            f"{pairs.root} has {count} training {'pair' if count == 1 else 'pairs'}, too few to validate on some of "
            "them; give --val-data, or set val_fraction to 0."
        )
    block = min(max(1, round(share * count)), count - 2)
    gap = min(round(GAP_SHARE * count), MOST_GAP, (count - block - 1) // 2)
    start = int(np.random.default_rng(seed).integers(count - block + 1))
    end = start + block
    training = [i for i in range(count) if i < start - gap or i >= end + gap]
    what = f"frames {start + 1} to {end} of the only scene, with {gap} frame{'s' * (gap != 1)} left out on each side"
    return _parts(pairs, training, list(range(start, end)), what)


def _parts(pairs: PairSet, training: list[int], validation: list[int], what: str) -> tuple[PairSet, PairSet]:
    note = f"Validation: {len(validation)} of {len(pairs)} pairs ({len(validation) / len(pairs):.1%}), {what}"
    return pairs.subset(training, "train"), replace(pairs.subset(validation, "validation"), notes=(note,))
