"""Find the depth that belongs to each colour image: by name, number, time stamp, or order."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

__all__ = ["Matches", "match_files", "match_stamped", "match_stamps", "nanoseconds", "natural_key"]

LARGEST_GAP_S = 0.02  # TUM's associate.py: stamps of colour and depth of one moment
LEAST_SHARE = 0.5  # of the smaller side that a rule must match to be believed
_WORDS = re.compile(
    r"(?<![a-z])(rgb|colou?rs?|images?|img|depths?|sync|aligned|registered|groundtruth|gt|raw|mm)(?![a-z])"
)
_SEPARATORS = re.compile(r"[_\-. ]+")
_STAMP = re.compile(r"\d{6,}\.\d+")


@dataclass(frozen=True)
class Matches:
    """Colour and depth files that belong together, the rule that says so, and how many files have no partner."""

    pairs: list[tuple[Path, Path]]
    rule: str
    alone: int


def match_files(colors: Sequence[Path], depths: Sequence[Path]) -> Matches | None:
    """Pair colour and depth files by the first rule that fits; None where none does.

    Rules: equal names but for words such as rgb and depth; equal last numbers; nearest time stamps (0.02 s); and, where
    there are as many of one as of the other, their order.
    """
    colors, depths = sorted(colors, key=natural_key), sorted(depths, key=natural_key)
    total = len(colors) + len(depths)
    for rule, key in (("equal names", _plain_stem), ("equal numbers", _last_number)):
        pairs = _match_keys(colors, depths, key)
        if pairs and len(pairs) >= LEAST_SHARE * min(len(colors), len(depths)):
            return Matches(pairs, rule, total - 2 * len(pairs))
    stamped = [
        [(nanoseconds(found[0]), path) for path in paths if (found := _STAMP.search(path.stem))]
        for paths in (colors, depths)
    ]
    if len(stamped[0]) + len(stamped[1]) == total and (matches := match_stamped(*stamped)):
        return matches
    if colors and len(colors) == len(depths):
        return Matches(list(zip(colors, depths, strict=True)), "their order", 0)
    return None


def match_stamped(colors: Sequence[tuple[int, Path]], depths: Sequence[tuple[int, Path]]) -> Matches | None:
    """Pair files that have time stamps in nanoseconds by the nearest; None where no two are within 0.02 s."""
    color_ns, depth_ns = [stamp for stamp, _ in colors], [stamp for stamp, _ in depths]
    matched = match_stamps(color_ns, depth_ns, max_gap_ns=round(LARGEST_GAP_S * 1e9))
    pairs = [(colors[i][1], depths[j][1]) for i, j in matched]
    rule = f"nearest time stamps, at most {LARGEST_GAP_S:g} s apart"
    return Matches(pairs, rule, len(colors) + len(depths) - 2 * len(pairs)) if pairs else None


def match_stamps(color_ns: Sequence[int], depth_ns: Sequence[int], *, max_gap_ns: int) -> list[tuple[int, int]]:
    """Return (colour index, depth index) of nearest stamps, at most `max_gap_ns` apart, in the order of colour.

    The nearest pairs are made first, and each image is used once.
    """
    if not color_ns or not depth_ns:
        return []
    order = np.argsort(depth_ns, kind="stable")
    depth = np.asarray(depth_ns, np.int64)[order]
    right = np.searchsorted(depth, color_ns)
    candidates = []
    for color, place in enumerate(right):
        for near in (place - 1, place):
            if 0 <= near < len(depth) and abs(int(depth[near]) - color_ns[color]) <= max_gap_ns:
                candidates.append((abs(int(depth[near]) - color_ns[color]), color, int(order[near])))
    matched: dict[int, int] = {}
    used: set[int] = set()
    for _, color, near in sorted(candidates):
        if color not in matched and near not in used:
            matched[color] = near
            used.add(near)
    return sorted(matched.items())


def natural_key(path: Path) -> list[tuple[int, str]]:
    """Sort the numbers in a name by their value."""
    pieces = re.split(r"(\d+)", path.name)
    return [(int(piece), "") if piece.isdecimal() else (-1, piece.lower()) for piece in pieces]


def nanoseconds(text: str) -> int:
    """Read seconds, with decimals or without; a ValueError says that they are none."""
    seconds, _, fraction = text.partition(".")
    return int(seconds) * 10**9 + int(fraction[:9].ljust(9, "0"))


def _match_keys(
    colors: Sequence[Path], depths: Sequence[Path], key: Callable[[Path], Hashable | None]
) -> list[tuple[Path, Path]]:
    """Pair files of equal keys; nothing where a key stands for several files of one side."""
    of_depth = {key(path): path for path in depths}
    of_color = {key(path): path for path in colors}
    if len(of_depth) < len(depths) or len(of_color) < len(colors):
        return []
    return [(path, of_depth[name]) for name, path in of_color.items() if name is not None and name in of_depth]


def _plain_stem(path: Path) -> str:
    return _SEPARATORS.sub("_", _WORDS.sub("", path.stem.lower())).strip("_")


def _last_number(path: Path) -> int | None:
    numbers = re.findall(r"\d+", path.stem)
    return int(numbers[-1]) if numbers else None
