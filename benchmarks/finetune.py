"""Fine-tune a checkpoint on one TUM room, and score it there, in the other room, and on the NYU pairs it came from.

Usage: python benchmarks/finetune.py --tum DIR --nyu DIR [--start lite0] [--set KEY=VALUE]... [--json FILE]

DIR of --tum holds the scenes freiburg1_rpy and freiburg3_cabinet: `NAME_rgb.jpg`, and `NAME_depth.png` in millimetres.
They are written as `color/` and `depth/` folders in TUM's own unit first, as a user would have them.
"""

import tempfile
import time
from pathlib import Path
from typing import Annotated, Any

import cv2
import numpy as np
import typer

from lightdepth.checkpoints.find import find_checkpoint
from lightdepth.config import load_config
from lightdepth.runs.commit import source_commit
from lightdepth.training.train import train
from lightdepth_runtime import __version__
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.bench.machine import describe_machine
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import choose_protocol
from lightdepth_runtime.pairs import load_pairs, parse_depth_unit

SCENES = ("freiburg1_rpy", "freiburg3_cabinet")
TUM = parse_depth_unit("tum")
FINETUNE = ["preset=finetune", "precision=fp32", "num_workers=0"]


def write_native(source: Path, folder: Path) -> None:
    """Write a scene as color/ and depth/, 5000 units per metre."""
    for name in ("color", "depth"):
        (folder / name).mkdir(parents=True)
    for pair in load_pairs(source, "train").pairs:
        frame, stem = pair.read(), Path(pair.name).stem.removesuffix("_rgb")
        cv2.imwrite(str(folder / "color" / f"{stem}.png"), frame.image[:, :, ::-1])
        units = np.rint(frame.depth_m * TUM.per_metre)
        cv2.imwrite(str(folder / "depth" / f"{stem}.png"), np.where(units < 65536, units, 0).astype(np.uint16))


def score(model: Path, native: Path, nyu: Path) -> dict[str, dict[str, float]]:
    """Return the metrics of a model in both rooms (no crop) and on NYU's test pairs (Eigen's crop)."""
    scores = {}
    with DepthEstimator.load(model) as estimator:
        for name, pairs in (
            *((scene, load_pairs(native / scene, "test", unit=TUM)) for scene in SCENES),
            ("nyu", load_pairs(nyu, "test")),
        ):
            protocol = choose_protocol("eigen" if name == "nyu" else "none")
            scores[name] = evaluate(estimator, pairs, protocol, model=model.name).metrics.to_dict()
    return scores


def main(
    tum: Annotated[Path, typer.Option()],
    nyu: Annotated[Path, typer.Option()],
    start: Annotated[str, typer.Option()] = "lite0",
    overrides: Annotated[list[str] | None, typer.Option("--set")] = None,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Measure what fine-tuning on one room brings and costs."""
    settings = [*FINETUNE, *(overrides or [])]
    runs: dict[str, Any] = {}  # Any: a JSON object
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        for scene in SCENES:
            write_native(tum / scene, work / scene)
        before = score(find_checkpoint(start), work, nyu)
        print("start", {name: round(metrics["rmse_m"], 4) for name, metrics in before.items()}, flush=True)
        for scene in SCENES:
            places = {"data_root": str(work / scene), "depth_scale": "tum", "start_from": start}
            began = time.monotonic()
            run = train(load_config(None, settings, places), work / "runs" / scene, say=print)
            seconds = time.monotonic() - began
            after = score(run.best, work, nyu)
            change = {name: after[name]["rmse_m"] / before[name]["rmse_m"] - 1 for name in after}
            print(scene, {name: f"{value:+.1%}" for name, value in change.items()}, f"{seconds:.0f} s", flush=True)
            runs[scene] = {"seconds": seconds, "scores": after, "rmse_change": change}
    if json:
        record = {"schema": "lightdepth.finetune/1", "lightdepth_version": __version__, "settings": settings}
        record |= {"start": start, "source_commit": source_commit(), "machine": describe_machine().describe()}
        write_json(json, {**record, "before": before, "trained_on": runs})


if __name__ == "__main__":
    typer.run(main)
