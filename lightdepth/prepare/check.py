"""Check an RGB-D data set before hours of training: what is wrong with it, which files, and whether to stop."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import Pair, PairSet, load_pairs
from lightdepth_runtime.progress import track

from .duplicates import find_duplicates
from .facts import MAX_SHIFT, PairFacts, UnreadablePair, look_at
from .finding import Finding, Level
from .sheet import draw_sheet

__all__ = ["DataReport", "SplitFacts", "check_and_write", "check_data"]

SCHEMA = "lightdepth.data_check/1"
SPLITS = ("train", "test")

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
SAME_SHAPE = 0.01  # of the aspect ratio
PLAUSIBLE_FOCAL = (0.4, 2.5)  # focal length over image width: 103 to 23 degrees


@dataclass(frozen=True)
class SplitFacts:
    """What one split is; medians and extremes of depth in metres, shares of pixels."""

    split: str
    packaging: str
    pairs: int
    read: int
    scenes: int
    median_m: float
    least_m: float
    most_m: float
    holes: float
    saturated_depth: float
    sizes: dict[str, int]
    bits: dict[str, int]
    edge_agreement: float
    edge_shift_px: tuple[float, float]
    focal_px: tuple[float, float] | None

    def line(self) -> str:
        """Say it in one line."""
        sizes = ", ".join(f"{size} ({count})" for size, count in self.sizes.items())
        bits = ", ".join(f"{bits}-bit ({count})" for bits, count in self.bits.items())
        focal = f", focal length {self.focal_px[0]:.1f}, {self.focal_px[1]:.1f} px" if self.focal_px else ""
        return (
            f"{self.split}: {self.packaging}, {self.read} of {self.pairs} pairs read, {self.scenes} scenes, {sizes}, "
            f"depth {bits or 'as stored'}, median {self.median_m:.2f} m ({self.least_m:.2f} to {self.most_m:.2f}), "
            f"holes {self.holes:.1%}, saturated {self.saturated_depth:.1%}, "
            f"edges agree {self.edge_agreement:.2f}{focal}"
        )


@dataclass(frozen=True)
class DataReport:
    """Everything that `data check` found."""

    root: str
    splits: list[SplitFacts]
    findings: list[Finding] = field(default_factory=list)

    @property
    def usable(self) -> bool:
        """Whether nothing was found that must be mended before training."""
        return not any(finding.level == "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:  # Any: a JSON object
        """Return schema `lightdepth.data_check/1`."""
        return {"schema": SCHEMA, "lightdepth_version": __version__, "usable": self.usable, **asdict(self)}

    def lines(self) -> list[str]:
        """Return what to show people: a line for each split and each finding, errors first."""
        order = ("error", "warning", "note")
        found = sorted(self.findings, key=lambda finding: order.index(finding.level))
        return [*(split.line() for split in self.splits), *(finding.line() for finding in found)]


def check_data(
    root: Path,
    *,
    most: int | None = None,
    progress: Callable[[Sequence[Pair], str], Iterable[Pair]] = lambda pairs, _label: pairs,
) -> DataReport:
    """Read the pairs of a data set and judge them, each split by itself and then against the other.

    Args:
        root: what `--data` takes: a folder in any packaging, or one list (then that list alone is checked).
        most: look at so many pairs of each split, evenly spread; all by default.
        progress: wraps the pairs of a split to show progress.

    Raises:
        LightDepthError: no split can be listed at all.
    """
    findings: list[Finding] = []
    splits: list[SplitFacts] = []
    looked: dict[str, list[PairFacts]] = {}
    for split in ("list",) if root.is_file() else SPLITS:
        try:
            pairs = load_pairs(root, split, missing_ok=True)
        except LightDepthError as error:
            if split == SPLITS[-1] and not splits:
                raise
            findings.append(Finding("warning" if split != "train" else "error", "packaging", str(error)))
            continue
        if most is not None:
            findings.append(
                Finding("note", "sample", f"{split}: looked at {min(most, len(pairs))} of {len(pairs)} pairs")
            )
            pairs = pairs.spread(most)
        facts = [look_at(pair) for pair in progress(pairs.pairs, f"Checking {split}")]
        good = [fact for fact in facts if isinstance(fact, PairFacts)]
        findings += [
            Finding("error", "unreadable", f"{split}: {fact.fault}")
            for fact in facts
            if isinstance(fact, UnreadablePair)
        ]
        if not good:
            findings.append(Finding("error", "unreadable", f"{split}: not one pair can be read"))
            continue
        looked[split] = good
        splits.append(_summarise(pairs, good))
        findings += _judge_split(pairs, good, splits[-1])
    findings += _judge_together(splits, looked)
    return DataReport(root.resolve().name, splits, findings)


def check_and_write(root: Path, *, json_path: Path | None, sheet_path: Path | None, most: int | None) -> DataReport:
    """Check a data set with a progress bar and write what was asked for: the JSON, the contact sheet.

    Raises:
        LightDepthError: no split can be listed, or a file can't be written.
    """
    report = check_data(root, most=most, progress=lambda pairs, label: track(pairs, label, len(pairs)))
    if json_path:
        write_json(json_path, report.to_dict())
    if sheet_path:
        draw_sheet(root, [split.split for split in report.splits], sheet_path)
    return report


def _summarise(pairs: PairSet, facts: Sequence[PairFacts]) -> SplitFacts:
    with_depth = [fact for fact in facts if fact.median_m > 0]
    edges = np.mean([fact.edges for fact in facts], axis=0)
    row, column = np.unravel_index(int(edges.argmax()), edges.shape)
    scale = float(np.median([fact.width for fact in facts])) / 160
    camera = pairs.intrinsics
    return SplitFacts(
        split=pairs.split,
        packaging=pairs.packaging,
        pairs=len(pairs),
        read=len(facts),
        scenes=len({fact.scene for fact in facts}),
        median_m=float(np.median([fact.median_m for fact in with_depth])) if with_depth else 0.0,
        least_m=min((fact.least_m for fact in with_depth), default=0.0),
        most_m=max((fact.most_m for fact in with_depth), default=0.0),
        holes=float(np.mean([fact.holes for fact in facts])),
        saturated_depth=float(np.mean([fact.saturated_depth for fact in facts])),
        sizes=dict(Counter(f"{fact.width}x{fact.height}" for fact in facts).most_common()),
        bits=dict(Counter(str(fact.bits) for fact in facts if fact.bits).most_common()),
        edge_agreement=float(edges[MAX_SHIFT, MAX_SHIFT]),
        edge_shift_px=((float(column) - MAX_SHIFT) * scale, (float(row) - MAX_SHIFT) * scale),
        focal_px=(camera.fx, camera.fy) if camera else None,
    )


def _judge_split(pairs: PairSet, facts: Sequence[PairFacts], split: SplitFacts) -> list[Finding]:
    found: list[Finding] = []
    name = split.split

    def report(level: Level, check: str, message: str, names: Iterable[str] = ()) -> None:
        found.append(Finding(level, check, f"{name}: {message}", tuple(names)))

    def report_pairs(level: Level, check: str, message: str, wanted: Callable[[PairFacts], bool]) -> None:
        names = [fact.name for fact in facts if wanted(fact)]
        if names:
            report(level, check, f"{len(names)} {'pair' if len(names) == 1 else 'pairs'} {message}", names)

    low_m, high_m = PLAUSIBLE_MEDIAN_M
    median_m = split.median_m
    if not low_m <= median_m <= high_m:
        report("error", "units", f"a median depth of {median_m:.3g} m is no room's; the depth files' unit is not mm")
    report_pairs("error", "no_depth", "without a single reading", lambda fact: fact.median_m == 0)
    report_pairs(
        "error",
        "units",
        f"over {MOST_FILE_RATIO:g} times off the split's median of {median_m:.2f} m: another unit?",
        lambda fact: fact.median_m > 0 and not 1 / MOST_FILE_RATIO < fact.median_m / median_m < MOST_FILE_RATIO,
    )
    report_pairs("warning", "holes", f"with over {MOST_HOLES:.0%} holes", lambda fact: MOST_HOLES < fact.holes < 1)
    report_pairs("warning", "flat_depth", "of one single depth", lambda fact: 0 < fact.most_m == fact.least_m)
    report_pairs(
        "warning", "saturated", f"with over {MOST_SATURATED:.0%} of the depth saturated",
        lambda fact: fact.saturated_depth > MOST_SATURATED,
    )  # fmt: skip
    report_pairs(
        "warning", "overexposed", f"with over {MOST_SATURATED:.0%} of the image white",
        lambda fact: fact.saturated_color > MOST_SATURATED,
    )  # fmt: skip
    report_pairs("warning", "flat_color", "whose image shows nothing", lambda fact: fact.color_spread < FLAT_COLOR)
    report_pairs(
        "warning",
        "alignment",
        "whose depth has its edges where the image has none: depth of another image?",
        lambda fact: fact.edges[MAX_SHIFT, MAX_SHIFT] < LEAST_PAIR_AGREEMENT,
    )
    for what, counts in (("sizes", split.sizes), ("bit depths", split.bits)):
        if len(counts) > 1:
            common = next(iter(counts))
            odd = [f.name for f in facts if common not in (f"{f.width}x{f.height}", str(f.bits))]
            report("warning", what.replace(" ", "_"), f"{len(counts)} {what} ({', '.join(counts)})", odd)
    found += _judge_alignment(name, facts)
    found += _judge_camera(pairs, split)
    return found


def _judge_alignment(name: str, facts: Sequence[PairFacts]) -> list[Finding]:
    """Sum the edge agreement over each scene: where it peaks says how far depth lies beside the colour."""
    found = []
    scenes: dict[str, list[PairFacts]] = defaultdict(list)
    for fact in facts:
        scenes[fact.scene].append(fact)
    groups = {"all scenes": list(facts)} | (scenes if len(scenes) > 1 else {})
    for scene, members in groups.items():
        if len(members) < LEAST_PAIRS_FOR_SHIFT:
            continue
        edges = np.mean([fact.edges for fact in members], axis=0)
        row, column = np.unravel_index(int(edges.argmax()), edges.shape)
        shift = max(abs(int(row) - MAX_SHIFT), abs(int(column) - MAX_SHIFT))
        here, best = float(edges[MAX_SHIFT, MAX_SHIFT]), float(edges.max())
        if best < LEAST_AGREEMENT:
            message = f"{name}, {scene}: depth and colour share no edges (agreement {here:.2f}): depth of other images?"
            found.append(Finding("error", "alignment", message))
        elif shift > MOST_SHIFT and best > 1.25 * here:
            scale = members[0].width / 160
            message = (
                f"{name}, {scene}: depth lies about {abs(column - MAX_SHIFT) * scale:.0f} px beside and "
                f"{abs(row - MAX_SHIFT) * scale:.0f} px above or below the colour; register it to the colour camera"
            )
            found.append(Finding("error", "alignment", message))
    return found


def _judge_camera(pairs: PairSet, split: SplitFacts) -> list[Finding]:
    camera = pairs.intrinsics
    if camera is None:
        message = f"{split.split}: no focal length is known; set `intrinsics` in config.yaml, checkpoints then carry it"
        return [Finding("note", "intrinsics", message)]
    size = f"{camera.width}x{camera.height}"
    low, high = PLAUSIBLE_FOCAL
    # Images that were made smaller since the calibration are still that camera's, a crop of them is not.
    sizes = [tuple(map(int, seen.split("x"))) for seen in split.sizes]
    fits = any(abs(width / height * camera.height / camera.width - 1) < SAME_SHAPE for width, height in sizes)
    if not (fits and low < camera.fx / camera.width < high):
        message = f"{split.split}: a camera of {size} and focal length {camera.fx:g} px doesn't fit these images"
        return [Finding("error", "intrinsics", message)]
    return []


def _judge_together(splits: Sequence[SplitFacts], looked: dict[str, list[PairFacts]]) -> list[Finding]:
    found: list[Finding] = []
    if len(splits) == 2:
        train, test = splits
        ratio = max(train.median_m, test.median_m) / max(min(train.median_m, test.median_m), 1e-9)
        if ratio > MOST_MEDIAN_RATIO:
            message = (
                f"train and test disagree: median depth {train.median_m:.3g} m against {test.median_m:.3g} m, "
                f"{ratio:.0f} times apart; one of them is not in the unit its packaging says"
            )
            found.append(Finding("error", "units", message))
        scenes = [{fact.scene for fact in looked[split.split]} for split in splits]
        common = sorted(scenes[0] & scenes[1])
        if common:
            found.append(Finding("error", "scenes", f"{len(common)} scenes are in both splits", tuple(common)))
        if train.focal_px != test.focal_px:
            found.append(Finding("warning", "intrinsics", "train and test were recorded with other focal lengths"))
    return found + find_duplicates(looked)
