"""Hold out pairs to validate on: whole scenes, or a block of frames of each where there are few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.pairs.pair import indices_by_scene

__all__ = ["split_pairs"]

GAP_SHARE = 0.05  # of a recording's frames, left out on both sides of the block
MOST_GAP = 30  # frames: a second of video
MOST_TIMES = 2.0  # the share that was asked for: holding out more wastes what could be trained on
LEAST_OF_BLOCK = 3  # pairs of a scene: one to hold out, and two to train on


def split_pairs(pairs: PairSet, share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Hold out about `share` of the pairs; returns (train, validation), whose notes say what was done.

    Frames of one room are near copies, and a split by frame would validate on what was trained on. Whole scenes are
    held out, chosen by the seed, until the share is reached. Where that takes more than `MOST_TIMES` the share, as of
    two long recordings, each scene gives a block of consecutive frames, and the frames next to it are left out of both.

    Raises:
        LightDepthError: a single scene of fewer than three pairs.
    """
    scenes = indices_by_scene(pairs)
    if len(scenes) < 2 and len(pairs) < LEAST_OF_BLOCK:
        raise LightDepthError(
            f"{pairs.root} has {len(pairs)} training {'pair' if len(pairs) == 1 else 'pairs'}, too few to validate on "
            "some of them; give --val-data, or set val_fraction to 0."
        )
    held_out = _whole_scenes(scenes, share * len(pairs), seed)
    count = sum(len(scenes[name]) for name in held_out)
    in_blocks = sum(_block(len(found), share) for found in scenes.values())
    if not held_out or (count > MOST_TIMES * share * len(pairs) and 0 < in_blocks < count):
        return _split_blocks(pairs, scenes, share, seed)
    validation = [i for i, pair in enumerate(pairs.pairs) if pair.scene in held_out]
    training = [i for i, pair in enumerate(pairs.pairs) if pair.scene not in held_out]
    return _parts(pairs, training, validation, f"{len(held_out)} of {len(scenes)} scenes")


def _whole_scenes(scenes: Mapping[str, list[int]], wanted: float, seed: int) -> set[str]:
    """Choose scenes until they have the pairs that are wanted; one is always left to train on."""
    names = list(scenes)
    chosen: set[str] = set()
    count = 0
    for position in np.random.default_rng(seed).permutation(len(names))[:-1]:
        if count >= wanted:
            break
        chosen.add(names[position])
        count += len(scenes[names[position]])
    return chosen


def _block(count: int, share: float) -> int:
    """Return how many frames of a scene are held out as a block; none of a scene that is too short."""
    return 0 if count < LEAST_OF_BLOCK else min(max(1, round(share * count)), count - 2)


def _split_blocks(pairs: PairSet, scenes: Mapping[str, list[int]], share: float, seed: int) -> tuple[PairSet, PairSet]:
    """Hold out consecutive frames of each scene that is long enough, at places that the seed chooses."""
    training: list[int] = []
    validation: list[int] = []
    generator = np.random.default_rng(seed)
    what = f"a block of frames of each of {len(scenes)} scenes, with the frames next to it left out"
    for found in scenes.values():
        count = len(found)
        block = _block(count, share)
        if block == 0:
            training += found
            continue
        gap = min(round(GAP_SHARE * count), MOST_GAP, (count - block - 1) // 2)
        start = int(generator.integers(count - block + 1))
        end = start + block
        validation += found[start:end]
        training += [index for i, index in enumerate(found) if i < start - gap or i >= end + gap]
        if len(scenes) == 1:
            sides = f"with {gap} frame{'s' * (gap != 1)} left out on each side"
            what = f"frames {start + 1} to {end} of the only scene, {sides}"
    return _parts(pairs, sorted(training), sorted(validation), what)


def _parts(pairs: PairSet, training: list[int], validation: list[int], what: str) -> tuple[PairSet, PairSet]:
    note = f"Validation: {len(validation)} of {len(pairs)} pairs ({len(validation) / len(pairs):.1%}), {what}"
    return pairs.subset(training, "train"), replace(pairs.subset(validation, "validation"), notes=(note,))
