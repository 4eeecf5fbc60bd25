"""Train as the original report did, with its unit error, so that its AbsRel of 0.97 appears.

Usage: python benchmarks/report_recipe.py --data KAGGLE_DIR [--json FILE]

The report read the 8-bit training PNGs (255 = 10 m) with the rule for 16-bit millimetres: a depth of 10 m became
0.255 m. A network that learns this perfectly predicts 0.0255 of the truth, so AbsRel is 0.9745 whatever else it does.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from lightdepth.checkpoints.backend import TorchBackend
from lightdepth.checkpoints.checkpoint import load_checkpoint
from lightdepth.config import load_config
from lightdepth.training.train import train
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.estimator import DepthEstimator
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import FrameData, Pair, load_pairs

# 8-bit values are 25.5 a metre; divided by 1000 they are 1000 / 25.5 = 39 times too small.
SHRINK = np.float32(25.5 / 1000)


@dataclass(frozen=True)
class MisreadPair:
    """A Kaggle training pair whose 8-bit depth is taken for millimetres."""

    pair: Pair

    @property
    def name(self) -> str:
        """The pair's name."""
        return self.pair.name

    @property
    def scene(self) -> str:
        """The pair's scene."""
        return self.pair.scene

    def read(self) -> FrameData:
        """Read the pair with the report's unit error."""
        frame = self.pair.read()
        return FrameData(frame.image, frame.depth_m * SHRINK)


def main(
    data: Annotated[Path, typer.Option()],
    output: Annotated[Path, typer.Option()] = Path("runs/report-recipe"),
    epochs: Annotated[int, typer.Option()] = 8,
    json: Annotated[Path | None, typer.Option()] = None,
) -> None:
    """Train a few epochs at a small input and score the result with the right units."""
    overrides = [
        *("loss=l1", "image_height=96", "image_width=128", "encoder_weights=none", "val_fraction=0", "precision=fp32"),
        *(f"data_root={data}", f"epochs={epochs}", "zoom_max=1.0", "num_threads=1"),
    ]
    training = load_pairs(data, "train")
    misread = replace(training, pairs=[MisreadPair(pair) for pair in training.pairs])
    folder = train(load_config(None, overrides), output, pairs=(misread, None), say=print)
    checkpoint = load_checkpoint(folder.best)
    estimator = DepthEstimator(TorchBackend(checkpoint.model, checkpoint.spec, "cpu"))
    result = evaluate(estimator, load_pairs(data, "test"), get_protocol("eigen"), model="resnet18, the report's recipe")
    print(result.metrics)
    if json:
        write_json(json, result.to_dict())


if __name__ == "__main__":
    typer.run(main)
