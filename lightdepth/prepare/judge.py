"""Judge the splits of a data set by what was seen of their pairs: units, holes, alignment, cameras, leaks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from lightdepth_runtime.evaluation.unit_suspects import find_suspect
from lightdepth_runtime.pairs import PairSet
from lightdepth_runtime.spec import Intrinsics

from .duplicates import find_duplicates
from .facts import MAX_SHIFT, PairFacts, SplitFacts
from .finding import Finding, Level

__all__ = ["judge_split", "judge_together", "judge_unit"]

# Rooms differ by a factor of two or so; wrong units by 5 (TUM's 5000 a metre), 10 (cm), 25.5 (8 bits) or 1000.
MOST_MEDIAN_RATIO = 3.0
MOST_FILE_RATIO = 8.0  # one file's median against its split's: a wall at arm's length in a set of halls is none
PLAUSIBLE_MEDIAN_M = (0.3, 30.0)
MOST_HOLES = 0.8
MOST_SATURATED = 0.3
FLAT_COLOR = 2.0  # standard deviation of grey values: a lens cap, a lost frame
# Measured: 0.10 to 0.22 over the pairs of NYU Depth V2 and TUM, 0.00 to 0.03 where each depth is its neighbour's.
LEAST_AGREEMENT = 0.05
LEAST_PAIR_AGREEMENT = 0.0  # a single aligned pair had at least 0.01; a third of the exchanged ones are below
MOST_SHIFT = 2  # at a width of 160: 8 pixels of a frame 640 wide
LEAST_PAIRS_FOR_SHIFT = 8
PLAUSIBLE_FOCAL = (0.4, 2.5)  # focal length over image width: 103 to 23 degrees


def judge_split(pairs: PairSet, facts: Sequence[PairFacts], split: SplitFacts) -> Iterator[Finding]:
    """Judge a split by itself."""
    name, median_m = split.split, split.median_m
    # What is said of pairs, and of which.
    checks: list[tuple[Level, str, str, Callable[[PairFacts], bool]]] = [
        ("error", "no_depth", "without a single reading", lambda fact: fact.median_m == 0),
        (
            "error",
            "units",
            f"over {MOST_FILE_RATIO:g} times off the split's median of {median_m:.2f} m: another unit?",
            lambda fact: fact.median_m > 0 and not 1 / MOST_FILE_RATIO < fact.median_m / median_m < MOST_FILE_RATIO,
        ),
        ("warning", "holes", f"with over {MOST_HOLES:.0%} holes", lambda fact: MOST_HOLES < fact.holes < 1),
        ("warning", "flat_depth", "of one single depth", lambda fact: 0 < fact.most_m == fact.least_m),
        (
            "warning",
            "saturated",
            f"with over {MOST_SATURATED:.0%} of the depth saturated",
            lambda fact: fact.saturated_depth > MOST_SATURATED,
        ),
        (
            "warning",
            "overexposed",
            f"with over {MOST_SATURATED:.0%} of the image white",
            lambda fact: fact.saturated_color > MOST_SATURATED,
        ),
        ("warning", "flat_color", "whose image shows nothing", lambda fact: fact.color_spread < FLAT_COLOR),
        (
            "warning",
            "alignment",
            "whose depth has its edges where the image has none: depth of another image?",
            lambda fact: bool(fact.edges[MAX_SHIFT, MAX_SHIFT] < LEAST_PAIR_AGREEMENT),
        ),
    ]
    for level, check, message, applies in checks:
        names = tuple(fact.name for fact in facts if applies(fact))
        if names:
            yield Finding(level, check, f"{name}: {len(names)} pair{'s' * (len(names) != 1)} {message}", names)
    for what, counts in (("sizes", split.sizes), ("bit depths", split.bits)):
        if len(counts) > 1:
            common = next(iter(counts))
            odd = tuple(f.name for f in facts if common not in (f"{f.width}x{f.height}", str(f.bits)))
            message = f"{name}: {len(counts)} {what} ({', '.join(counts)})"
            yield Finding("warning", what.replace(" ", "_"), message, odd)
    yield from _judge_alignment(name, facts)
    yield from _judge_camera(pairs, facts)


def judge_unit(pairs: PairSet, split: SplitFacts, max_depth_m: float) -> Iterator[Finding]:
    """Ask the values, and the shipped model, whether the unit is right."""
    low_m, high_m = PLAUSIBLE_MEDIAN_M
    is_plausible = low_m <= split.median_m <= high_m
    suspect = find_suspect(pairs, max_depth_m=max_depth_m)
    if suspect is not None and (suspect.certain or is_plausible):
        yield Finding("error" if suspect.certain else "warning", "units", f"{pairs.split}: {suspect.describe()}")
    elif not is_plausible:
        message = f"{pairs.split}: a median depth of {split.median_m:.3g} m is no room's"
        yield Finding("error", "units", f"{message}; declare the depth files' unit by --depth-scale")


def _judge_alignment(name: str, facts: Sequence[PairFacts]) -> Iterator[Finding]:
    """Sum the edge agreement over each scene: where it peaks says how far depth lies beside the colour."""
    scenes: dict[str, list[PairFacts]] = defaultdict(list)
    for fact in facts:
        scenes[fact.scene].append(fact)
    groups = {"all scenes": list(facts)} | (scenes if len(scenes) > 1 else {})
    for scene, members in groups.items():
        members = [fact for fact in members if fact.edges.any()]  # sparse depth has no outlines to judge by
        if len(members) < LEAST_PAIRS_FOR_SHIFT:
            continue
        edges = np.mean([fact.edges for fact in members], axis=0)
        row, column = np.unravel_index(int(edges.argmax()), edges.shape)
        shift = max(abs(int(row) - MAX_SHIFT), abs(int(column) - MAX_SHIFT))
        here, best = float(edges[MAX_SHIFT, MAX_SHIFT]), float(edges.max())
        if best < LEAST_AGREEMENT:
            message = f"{name}, {scene}: depth and colour share no edges (agreement {here:.2f}): depth of other images?"
            yield Finding("error", "alignment", message)
        elif shift > MOST_SHIFT and best > 1.25 * here:
            scale = members[0].width / 160
            message = (
                f"{name}, {scene}: depth lies about {abs(column - MAX_SHIFT) * scale:.0f} px beside and "
                f"{abs(row - MAX_SHIFT) * scale:.0f} px above or below the colour; register it to the colour camera"
            )
            yield Finding("error", "alignment", message)


def _judge_camera(pairs: PairSet, facts: Sequence[PairFacts]) -> Iterator[Finding]:
    of_pair = {pair.name: pair.intrinsics for pair in pairs.pairs}
    seen: dict[Intrinsics | None, list[PairFacts]] = defaultdict(list)
    for fact in facts:
        seen[of_pair[fact.name]].append(fact)
    unknown = tuple(fact.name for fact in seen.pop(None, []))
    if unknown:
        what = f"{len(unknown)} pairs don't tell their focal length" if seen else "no focal length is known"
        message = (
            f"{pairs.split}: {what}; give it in intrinsics.txt beside color/ and depth/, in a pair list's "
            "`# intrinsics:` or as the config's `intrinsics`, and checkpoints carry it"
        )
        yield Finding("note", "intrinsics", message, unknown if seen else ())
    low, high = PLAUSIBLE_FOCAL
    for camera, images in seen.items():
        assert camera is not None, "the unknown ones were taken out"
        # Images that were made smaller since the calibration are still that camera's, a crop of them is not.
        if not (any(camera.has_shape_of(i.width, i.height) for i in images) and low < camera.fx / camera.width < high):
            size = f"{camera.width}x{camera.height}"
            message = f"{pairs.split}: a camera of {size} and focal length {camera.fx:g} px doesn't fit its images"
            yield Finding("error", "intrinsics", message, tuple(image.name for image in images))


def judge_together(splits: Sequence[SplitFacts], looked: dict[str, list[PairFacts]]) -> Iterator[Finding]:
    """Judge the splits against each other."""
    if len(splits) == 2:
        train, test = splits
        ratio = max(train.median_m, test.median_m) / max(min(train.median_m, test.median_m), 1e-9)
        if ratio > MOST_MEDIAN_RATIO:
            message = (
                f"train and test disagree: median depth {train.median_m:.3g} m against {test.median_m:.3g} m, "
                f"{ratio:.0f} times apart; one of them is not in the unit its packaging says"
            )
            yield Finding("error", "units", message)
        scenes = [{fact.scene for fact in looked[split.split]} for split in splits]
        common = sorted(scenes[0] & scenes[1])
        if common:
            yield Finding("error", "scenes", f"{len(common)} scenes are in both splits", tuple(common))
        if train.focal_px != test.focal_px:
            yield Finding("warning", "intrinsics", "train and test were recorded with other focal lengths")
    yield from find_duplicates(looked)
