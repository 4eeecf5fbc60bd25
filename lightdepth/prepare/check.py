"""Check an RGB-D data set before hours of training: what is wrong with it, which files, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lightdepth_runtime import __version__
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs import DepthUnit, PairSet, load_pairs, splits_of
from lightdepth_runtime.parallel import Workers, worker_count
from lightdepth_runtime.processes import Processes

from .facts import PairFacts, SplitFacts, look_at, summarise
from .finding import Finding
from .judge import judge_split, judge_together, judge_unit

__all__ = ["DataReport", "check_data"]

SCHEMA = "lightdepth.data_check/1"
Track = Callable[[Iterable[PairFacts | str], str, int], Iterable[PairFacts | str]]


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
    unit: DepthUnit | None = None,
    max_depth_m: float = 10.0,
    workers: int | None = 1,
    processes: Processes | None = None,
    progress: Track = lambda facts, _label, _total: facts,
) -> DataReport:
    """Read the pairs of a data set and judge them, each split by itself and then against the other.

    Args:
        root: what `--data` takes: a folder in any packaging, or one list (then that list alone is checked).
        most: look at this many pairs of each split, evenly spread; all by default.
        unit: of stored depth, over what packaging or list say.
        max_depth_m: how far the scenes reach; what lies beyond makes the unit suspect.
        workers: processes that read; None for as many as the cores and the number of pairs ask for.
        processes: share the pairs with this one; the main one alone returns.
        progress: wraps what comes of each pair of a split to show progress.

    Raises:
        LightDepthError: no split can be listed at all.
    """
    findings: list[Finding] = []
    sets: list[PairSet] = []
    names = splits_of(root)
    for split in names:
        try:
            pairs = load_pairs(root, split, missing_ok=True, unit=unit)
        except LightDepthError as error:
            if split == names[-1] and not sets:
                raise
            findings.append(Finding("warning" if split != "train" else "error", "packaging", str(error)))
            continue
        findings += [Finding("note", "layout", f"{split}: {note}") for note in pairs.notes]
        if most is not None:
            findings.append(
                Finding("note", "sample", f"{split}: looked at {min(most, len(pairs))} of {len(pairs)} pairs")
            )
            pairs = pairs.spread(most)
        sets.append(pairs)
    processes = processes or Processes()
    parts = processes.merge([_look(pairs, workers, processes, progress) for pairs in sets])
    splits: list[SplitFacts] = []
    looked: dict[str, list[PairFacts]] = {}
    for pairs, shares in zip(sets, zip(*parts, strict=True), strict=True):
        facts = [fact for share in shares for fact in share]
        good = [fact for fact in facts if isinstance(fact, PairFacts)]
        faults = [fact for fact in facts if isinstance(fact, str)]
        findings += [Finding("error", "unreadable", f"{pairs.split}: {fault}") for fault in faults]
        if not good:
            findings.append(Finding("error", "unreadable", f"{pairs.split}: not one pair can be read"))
            continue
        looked[pairs.split] = good
        splits.append(summarise(pairs, good))
        findings += judge_split(pairs, good, splits[-1])
        findings += judge_unit(pairs, splits[-1], max_depth_m)
    findings += judge_together(splits, looked)
    return DataReport(root.resolve().name, splits, findings)


def _look(pairs: PairSet, workers: int | None, processes: Processes, progress: Track) -> list[PairFacts | str]:
    """Look at this process's share of a split."""
    share = processes.share(pairs.pairs, f"{pairs.split} pairs", name=lambda pair: pair.name)
    with Workers(worker_count(workers, len(share))) as pool:
        looks = pool.map(look_at, share, name=lambda pair: pair.name)
        return list(progress(looks, f"Checking {pairs.split}", len(share)))
