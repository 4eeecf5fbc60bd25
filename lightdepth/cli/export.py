"""The `export` command: one checkpoint, every form of it, each proven on real pairs."""

import re
from pathlib import Path
from typing import Annotated, Literal

import typer

from lightdepth_export.parity.gate import ParityThresholds
from lightdepth_runtime.pairs import load_pairs

__all__ = ["export_command"]

CALIBRATION_PAIRS = 32
DEFAULTS = ParityThresholds()


def _size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH in pixels, like 480x640.")
    return int(match[1]), int(match[2])


def export_command(
    checkpoint: Annotated[
        Path | None, typer.Argument(help="A run's folder (its best) or a .safetensors; default: the newest run.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The FP32 file; the others are named after it.")
    ] = None,
    fp16: Annotated[bool, typer.Option("--fp16", help="FP16 too, with FP32 input, output and head.")] = False,
    int8: Annotated[
        bool, typer.Option("--int8", help="INT8 too, a file for TensorRT and one for x86 CPUs, calibrated on --data.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Pairs to judge on; default: the demo's.")] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many of them, evenly spread.")] = 32,
    input_size: Annotated[
        str | None, typer.Option(metavar="HxW", help="Another network input than the one it was trained at.")
    ] = None,
    batch: Annotated[Literal["1", "dynamic"], typer.Option(help="Batch size of the graph.")] = "1",
    embed_preprocessing: Annotated[
        str | None, typer.Option(metavar="HxW", help="Also files that take a camera's uint8 frame of this size.")
    ] = None,
    scores: Annotated[Path | None, typer.Option(help="JSON of `lightdepth eval`, for the files to carry.")] = None,
    golden: Annotated[Path | None, typer.Option(help="Write input and expected output for integrators here.")] = None,
    engine: Annotated[bool, typer.Option("--engine", help="Fail where no TensorRT engine can be built.")] = False,
    engine_for: Annotated[
        str | None, typer.Option(metavar="SM,...", help="TensorRT-RTX engine for these GPUs (sm86,sm89); needs none.")
    ] = None,
    max_fp32_diff: Annotated[float, typer.Option(help="Metres.")] = DEFAULTS.fp32_max_abs_diff_m,
    max_fp16_change: Annotated[float, typer.Option(help="Share of RMSE.")] = DEFAULTS.fp16_rmse_change,
    max_int8_change: Annotated[float, typer.Option(help="Share of RMSE.")] = DEFAULTS.int8_rmse_change,
) -> None:
    """Write ONNX files, and engines where possible, that are proven to keep the checkpoint's accuracy."""
    from lightdepth_export.artifacts import ExportOptions
    from lightdepth_export.onnx.forms import purpose

    from ..export import export_checkpoint
    from ..runs.folder import best_checkpoint, newest_run

    if checkpoint is None:
        checkpoint = newest_run().best
        print(f"Exporting the newest run: {checkpoint}")
    checkpoint = best_checkpoint(checkpoint)
    options = ExportOptions(
        fp16=fp16,
        int8=int8,
        dynamic_batch=batch == "dynamic",
        frame_size=_size(embed_preprocessing) if embed_preprocessing else None,
        golden=golden,
        calibration=load_pairs(data, "train").spread(CALIBRATION_PAIRS) if int8 and data else None,
        engine=engine,
        engine_for=tuple(engine_for.split(",")) if engine_for else (),
        thresholds=ParityThresholds(max_fp32_diff, max_fp16_change, max_int8_change),
    )
    result = export_checkpoint(
        checkpoint,
        output or checkpoint.with_suffix(".onnx"),
        data=data,
        most_pairs=pairs,
        input_size=_size(input_size) if input_size else None,
        scores=scores,
        options=options,
        say=print,
    )
    for path in result.paths():
        use = purpose(path.name)
        print(f"Wrote {path}" + f" ({use})" * bool(use))
    print(result.engine_note)
