"""Runs side by side: how far each came, how well it scores, and in which settings they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.errors import LightDepthError

from ..config import load_config
from .folder import RunFolder
from .record import read_record

__all__ = ["RunSummary", "compare_runs", "find_runs", "summarise_run"]

SCHEMA = "lightdepth.runs/1"
SHORT = 9  # digits of a commit or a fingerprint


@dataclass(frozen=True)
class RunSummary:
    """One run: its settings, its progress, its best epoch; no score without validation."""

    name: str
    epochs: int
    finished_epochs: int
    best_epoch: int | None
    best_rmse_m: float | None
    best_abs_rel: float | None
    best_delta1: float | None
    loss: float | None
    hours: float
    commit: str
    data: str
    config: dict[str, Any]  # Any: values of the config's keys


def find_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """Return the runs in the folders named: run folders themselves, or folders of runs; sorted by name.

    Raises:
        LightDepthError: a folder that is neither, or doesn't exist.
    """
    found = []
    for path in paths:
        inside = [path] if (path / "config.yaml").exists() else [file.parent for file in path.glob("*/config.yaml")]
        if not inside:
            raise LightDepthError(f"{path.resolve()} holds no run; name a run's folder, or one with runs in it.")
        found += [RunFolder(folder) for folder in sorted(inside)]
    return found


def summarise_run(run: RunFolder) -> RunSummary:
    """Read a run's config, metrics and record.

    Raises:
        LightDepthError: a damaged config or record.
    """
    config = load_config(run.config_path)
    rows = run.read_metrics()
    scored = [row for row in rows if "rmse_m" in row]
    best = min(scored, key=lambda row: row["rmse_m"], default=None)
    record = read_record(run.record_path)
    training = record.training if record else None
    return RunSummary(
        name=run.path.resolve().name,
        epochs=config.epochs,
        finished_epochs=len(rows),
        best_epoch=int(best["epoch"]) if best else None,
        best_rmse_m=best["rmse_m"] if best else None,
        best_abs_rel=best["abs_rel"] if best else None,
        best_delta1=best["delta1"] if best else None,
        loss=rows[-1]["loss"] if rows else None,
        hours=sum(row["seconds"] for row in rows) / 3600,
        commit=record.source_commit[:SHORT] if record else "",
        data=f"{training.root}, {training.pairs} pairs, {training.fingerprint[:SHORT]}" if training else "",
        config=config.model_dump(),
    )


def compare_runs(paths: Sequence[Path], json_path: Path | None = None) -> list[str]:
    """Return the lines of a table, best RMSE first, and of the settings in which the runs differ.

    Raises:
        LightDepthError: no run there, a damaged one, or a JSON file that can't be written.
    """
    runs = sorted((summarise_run(run) for run in find_runs(paths)), key=lambda run: run.best_rmse_m or float("inf"))
    if json_path:
        values = {"schema": SCHEMA, "lightdepth_version": __version__, "runs": [asdict(run) for run in runs]}
        write_json(json_path, values)
    header = ["run", "epochs", "best", "RMSE m", "AbsRel", "delta1", "loss", "hours", "commit", "data"]
    table = [header, *(_row(run) for run in runs)]
    differing = [key for key in runs[0].config if len({repr(run.config[key]) for run in runs}) > 1]
    lines = _align(table)
    if differing:
        keys = [["setting", *(run.name for run in runs)]]
        lines += ["", *_align(keys + [[key, *(str(run.config[key]) for run in runs)] for key in differing])]
    elif len(runs) > 1:
        lines += ["", "All settings are the same."]
    return lines


def _row(run: RunSummary) -> list[str]:
    scores = (run.best_rmse_m, run.best_abs_rel, run.best_delta1, run.loss)
    return [
        run.name,
        f"{run.finished_epochs}/{run.epochs}",
        str(run.best_epoch or "-"),
        *("-" if score is None else f"{score:.3f}" for score in scores),
        f"{run.hours:.1f}",
        run.commit or "-",
        run.data or "-",
    ]


def _align(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in table) for column in range(len(table[0]))]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in table]
