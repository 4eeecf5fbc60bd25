"""What a teacher costs an epoch: images/s without one, with its cached depth, and with its features matched too.

Usage: python benchmarks/teacher_cost.py TEACHER --data DIR [--set key=value] [--json FILE]

The kinds take turns, an epoch each, so that what else the machine does meets all of them. The teacher's predictions are
made before the first epoch that is timed; how long that takes is in the JSON.
"""

import statistics
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from lightdepth.config import load_config
from lightdepth.training.train import train
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine

KINDS = {"without": [], "cached depth": ["feature_weight=0"], "cached depth and features": ["feature_weight=1"]}


def main(
    teacher: Annotated[str, typer.Argument(help="A checkpoint (.safetensors), since features are matched.")],
    data: Annotated[str, typer.Option()],
    overrides: Annotated[list[str] | None, typer.Option("--set", help="key=value for all runs")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 5,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Time epochs and print how many times one without a teacher each takes."""
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"data_root={data}", "epochs=1", "val_fraction=0", *(overrides or [])]
        taught = [*settings, f"distill_from={teacher}", f"teacher_cache={folder}/cache"]
        started = time.monotonic()
        train(load_config(None, taught), Path(folder) / "fill")
        first_s = time.monotonic() - started
        seconds: dict[str, list[float]] = {kind: [] for kind in KINDS}
        for number in range(rounds):
            for kind, changes in KINDS.items():
                config = load_config(None, settings if kind == "without" else [*taught, *changes])
                row = train(config, Path(folder) / f"{number}-{kind}").read_metrics()[0]
                seconds[kind].append(1 / row["images_per_s"])
    base = statistics.median(seconds["without"])
    rows = [
        {
            "kind": kind,
            "images_per_s": 1 / statistics.median(times),
            "times_without": statistics.median(times) / base,
        }
        for kind, times in seconds.items()
    ]
    for row in rows:
        print(f"{row['kind']}: {row['images_per_s']:.1f} images/s, {row['times_without']:.2f} times without a teacher")
    if json:
        result = {"schema": "lightdepth.teacher_cost/1", "machine": describe_machine().to_dict(), "rounds": rounds}
        write_json(json, {**result, "settings": overrides or [], "first_epoch_with_labelling_s": first_s, "rows": rows})


if __name__ == "__main__":
    typer.run(main)
