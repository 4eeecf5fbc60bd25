"""Score several models as one teacher: the mean of their log depth over frames and mirror images.

Usage: python benchmarks/ensemble.py MODEL... --data DIR [--split test] [--json FILE]
"""

from pathlib import Path
from typing import Annotated

import typer

from lightdepth.teacher.ensemble import Ensemble
from lightdepth_runtime.atomic import write_json
from lightdepth_runtime.evaluation.evaluate import evaluate
from lightdepth_runtime.evaluation.protocol import get_protocol
from lightdepth_runtime.pairs import load_pairs
from lightdepth_runtime.progress import track


def main(
    models: Annotated[list[str], typer.Argument(help="Metric models, as distill_from takes them.")],
    data: Annotated[str, typer.Option(help="Folder or pair list.")],
    split: Annotated[str, typer.Option(help="Split of a folder. Default: test.")] = "test",
    protocol: Annotated[str, typer.Option(help="Evaluation protocol. Default: eigen.")] = "eigen",
    json: Annotated[Path | None, typer.Option(help="Write every figure to this file. Default: none.")] = None,
) -> None:
    """Print RMSE, AbsRel and delta1."""
    pairs = load_pairs(data, split)
    with Ensemble(models) as ensemble:
        result = evaluate(
            ensemble,
            pairs,
            get_protocol(protocol),
            model=ensemble.source,
            progress=lambda items: track(items, "Evaluating", len(items)),
        )
    if json:
        write_json(json, result.to_dict())
    print(f"{ensemble.source}, {result.samples} pairs of {result.data}")
    print("  ".join(f"{name} {value:.4f}" for name, value in result.metrics.to_dict().items()))


if __name__ == "__main__":
    typer.run(main)
