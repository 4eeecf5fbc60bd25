"""The `export` command: one checkpoint, every form of it, each proven on real pairs."""

from pathlib import Path

from lightdepth_runtime.cli.options import DepthScale, Workers

from . import options

__all__ = ["export_command"]

CALIBRATION_PAIRS = 32


def export_command(
    checkpoint: options.Checkpoint = None,
    fp16: options.Fp16 = False,
    int8: options.Int8 = False,
    input_size: options.InputSize = None,
    batch: options.Batch = "1",
    embed_preprocessing: options.EmbedPreprocessing = None,
    engine: options.Engine = False,
    engine_for: options.EngineFor = None,
    data: options.ParityData = None,
    depth_scale: DepthScale = None,
    pairs: options.Pairs = 32,
    workers: Workers = None,
    max_fp32_diff: options.MaxFp32Diff = 1e-3,
    max_fp16_change: options.MaxFp16Change = 0.005,
    max_int8_change: options.MaxInt8Change = 0.02,
    output: options.OnnxFile = None,
    scores: options.ScoresFile = None,
    golden: options.Golden = None,
) -> None:
    """Write a checkpoint as ONNX files and engines, proven to keep its accuracy."""
    from lightdepth_export.artifacts import ExportOptions
    from lightdepth_export.onnx.forms import purpose
    from lightdepth_export.parity.gate import ParityThresholds
    from lightdepth_runtime.pairs import load_pairs
    from lightdepth_runtime.parallel import worker_count
    from lightdepth_runtime.progress import track

    from ..checkpoints.find import SHIPPED_FOLDER, find_checkpoint
    from ..export import export_checkpoint
    from ..runs.folder import newest_run

    if checkpoint is None:
        checkpoint = newest_run().best
        print(f"Exporting the newest run: {checkpoint}")
    named, checkpoint = str(checkpoint), find_checkpoint(checkpoint)
    if output is None:  # a shipped checkpoint stands inside the installed package
        output = Path(f"{named}.onnx") if checkpoint.parent == SHIPPED_FOLDER else checkpoint.with_suffix(".onnx")
    chosen = ExportOptions(
        fp16=fp16,
        int8=int8,
        dynamic_batch=batch == "dynamic",
        frame_size=options.parse_size(embed_preprocessing) if embed_preprocessing else None,
        golden=golden,
        calibration=load_pairs(data, "train", unit=depth_scale).spread(CALIBRATION_PAIRS) if int8 and data else None,
        engine=engine,
        engine_for=tuple(engine_for.split(",")) if engine_for else (),
        thresholds=ParityThresholds(max_fp32_diff, max_fp16_change, max_int8_change),
        workers=worker_count(workers, pairs),
    )
    result = export_checkpoint(
        checkpoint,
        output,
        data=data,
        unit=depth_scale,
        most_pairs=pairs,
        input_size=options.parse_size(input_size) if input_size else None,
        scores=scores,
        options=chosen,
        say=print,
        progress=track,
    )
    for path in result.paths():
        use = purpose(path.name)
        print(f"Wrote {path}" + f" ({use})" * bool(use))
    print(result.engine_note)
