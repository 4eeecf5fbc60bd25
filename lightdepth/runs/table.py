"""Runs side by side: how far each came, how well it scores, and in which settings they differ."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.table import Cell, Column, Table, number

from ..config import load_config
from .folder import RunFolder
from .record import read_record

__all__ = ["RunSummary", "compare_runs", "find_runs", "summarise_run"]

SCHEMA = "lightdepth.runs/1"
SHORT = 9  # digits of a commit or a fingerprint
COLUMNS = (
    Column("run", is_words=True),
    *map(Column, ("epochs", "best", "RMSE, m", "AbsRel", "delta1", "loss", "time")),
    Column("commit", is_words=True, is_extra=True),
    Column("data", is_words=True, is_extra=True),
)


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
        LightDepthError: a damaged config, record or table of metrics.
    """
    config = load_config(run.config_path)
    rows = run.read_metrics()
    scored = [row for row in rows if "rmse_m" in row]
    best = min(scored, key=lambda row: row["rmse_m"], default=None)
    record = read_record(run.record_path)
    training = record.training if record else None
    commit = record.source_commit.removeprefix("lightdepth ").partition(" ")[0] if record else ""  # or a version
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
        commit=commit[:SHORT],
        data=f"{training.root}, {training.pairs} pairs, {training.fingerprint[:SHORT]}" if training else "",
        config=config.model_dump(),
    )


def compare_runs(paths: Sequence[Path], json_path: Path | None = None) -> list[Table]:
    """Return a table of the runs, best RMSE first, and one of the settings in which they differ.

    Raises:
        LightDepthError: no run there, a damaged one, or a JSON file that can't be written.
    """
    runs = sorted((summarise_run(run) for run in find_runs(paths)), key=lambda run: run.best_rmse_m or float("inf"))
    if json_path:
        values = {"schema": SCHEMA, "lightdepth_version": __version__, "runs": [asdict(run) for run in runs]}
        write_json(json_path, values)
    tables = [Table("", COLUMNS, [_row(run) for run in runs])]
    differing = [key for key in runs[0].config if len({repr(run.config[key]) for run in runs}) > 1]
    if len(runs) > 1:
        columns = (Column("run", is_words=True), Column("settings that differ", is_words=True))
        settings = [", ".join(f"{key}={run.config[key]}" for key in differing) for run in runs]
        rows = [[run.name, text or "none"] for run, text in zip(runs, settings, strict=True)]
        tables.append(Table("", columns, rows))
    return tables


def _row(run: RunSummary) -> list[Cell | str]:
    return [
        run.name,
        f"{run.finished_epochs}/{run.epochs}",
        number(run.best_epoch, "d"),
        *(number(score, ".3f") for score in (run.best_rmse_m, run.best_abs_rel, run.best_delta1, run.loss)),
        Cell(_duration(run.hours), run.hours),
        run.commit or "-",
        run.data or "-",
    ]


def _duration(hours: float) -> str:
    """Say how long a run took: minutes below an hour, a tenth of one below ten."""
    minutes = hours * 60
    return f"{hours:.1f} h" if hours >= 1 else f"{minutes:.{0 if minutes >= 10 else 1}f} min"
