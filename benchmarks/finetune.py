"""Fine-tune a checkpoint on one room, and score it there, in another room, and on the NYU pairs it came from.

Usage: python benchmarks/finetune.py --room DIR --room DIR --nyu DIR [--start lite0] [--most N] [--most-nyu N]
       [--seed N]... [--setting NAME]... [--json FILE]

Each DIR of --room holds one recording, which is written as `color/` and `depth/` in TUM's own unit first, as a user
would have it. The preset `finetune` is compared with the same without parts of it.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from lightdepth.checkpoints.find import find_checkpoint
from lightdepth.config import FINETUNE, load_config
from lightdepth.runs.record import source_commit
from lightdepth.training.train import train
from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import choose_protocol
from lightdepth_runtime.pairs import PairSet, load_pairs, parse_depth_unit

TUM = parse_depth_unit("tum")
ALWAYS = ["preset=finetune", "precision=fp32", "num_workers=0"]
SETTINGS = {
    "preset": [],
    "without the start's weights": ["start_share=0"],
    "without them, with zoom": ["start_share=0", "zoom_max=1.5"],
}
Scores = dict[str, dict[str, float]]  # by room or "nyu", the metrics


def write_native(source: Path, folder: Path, most: int) -> None:
    """Write at most `most` pairs of a room, evenly spread, as color/ and depth/, 5000 units per metre."""
    for name in ("color", "depth"):
        (folder / name).mkdir(parents=True)
    for number, pair in enumerate(load_pairs(source, "train").spread(most).pairs):
        frame = pair.read()
        cv2.imwrite(str(folder / "color" / f"{number:04d}.png"), frame.image[:, :, ::-1])
        units = np.rint(frame.depth_m * TUM.per_metre)
        cv2.imwrite(str(folder / "depth" / f"{number:04d}.png"), np.where(units < 65536, units, 0).astype(np.uint16))


def score(model: Path, sets: dict[str, PairSet]) -> Scores:
    """Return the metrics of a model in every room (no crop) and on NYU's test pairs (Eigen's crop)."""
    scores = {}
    with DepthEstimator.load(model) as estimator:
        for name, pairs in sets.items():
            protocol = choose_protocol("eigen" if name == "nyu" else "none")
            scores[name] = evaluate(estimator, pairs, protocol, model=model.name).metrics.to_dict()
    return scores


def main(
    room: Annotated[list[Path], typer.Option()],
    nyu: Annotated[Path, typer.Option()],
    start: Annotated[str, typer.Option()] = "lite0",
    most: Annotated[int, typer.Option(help="Pairs of a room, at most.")] = 60,
    most_nyu: Annotated[int, typer.Option(help="NYU pairs, at most.")] = 654,
    seed: Annotated[list[int] | None, typer.Option(help="Default: 0.")] = None,
    setting: Annotated[list[str] | None, typer.Option(help="Of SETTINGS. Default: all.")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure what fine-tuning on one room brings and costs."""
    runs: list[dict[str, Any]] = []  # Any: JSON objects
    with tempfile.TemporaryDirectory() as temporary:
        rooms = {path.name: Path(temporary) / path.name for path in room}
        for path in room:
            write_native(path, rooms[path.name], most)
        sets = {name: load_pairs(folder, "test", unit=TUM) for name, folder in rooms.items()}
        sets["nyu"] = load_pairs(nyu, "test").spread(most_nyu)
        before = score(find_checkpoint(start), sets)
        print("start", {name: round(metrics["rmse_m"], 4) for name, metrics in before.items()}, flush=True)
        for number in seed or [0]:
            for name in setting or SETTINGS:
                for trained_on, folder in rooms.items():
                    places = {"data_root": str(folder), "depth_scale": "tum", "start_from": start}
                    config = load_config(None, [*ALWAYS, *SETTINGS[name], f"seed={number}"], places)
                    began = time.monotonic()
                    run = train(config, Path(temporary) / f"{name}-{trained_on}-{number}")
                    seconds = time.monotonic() - began
                    scores = score(run.best, sets)
                    change = {key: scores[key]["rmse_m"] / before[key]["rmse_m"] - 1 for key in scores}
                    said = {key: f"{scores[key]['rmse_m']:.3f} m {value:+.1%}" for key, value in change.items()}
                    print(f"{name}, seed {number}, {trained_on}, {seconds:.0f} s: {said}", flush=True)
                    run_record = {"setting": name, "seed": number, "trained_on": trained_on, "seconds": seconds}
                    runs.append({**run_record, "scores": scores, "rmse_change": change})
                    if json:  # after each, since a run takes minutes
                        record = {"schema": "lightdepth.finetune/2", "lightdepth_version": __version__}
                        record |= {"start": start, "source_commit": source_commit(), "preset": FINETUNE}
                        record |= {"machine": describe_machine().describe(), "settings": SETTINGS}
                        pairs = {key: len(pairs) for key, pairs in sets.items()}
                        write_json(json, {**record, "pairs": pairs, "before": before, "runs": runs})


if __name__ == "__main__":
    typer.run(main)
