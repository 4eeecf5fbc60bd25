"""Options of the commands that need PyTorch, declared once; those of the runtime's commands are the runtime's."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from lightdepth_runtime.cli.options import (
    DATA,
    DEVICES,
    MODEL,
    MODEL_HELP,
    OUTPUT,
    SCORING,
    device_option,
    option,
    output_option,
)

from ..config import TrainConfig

TRAINING, FORMS, GATE = "Training", "Forms of the model", "Accuracy gate"


def parse_size(text: str) -> tuple[int, int]:
    """Read HEIGHTxWIDTH."""
    match = re.fullmatch(r"(\d+)x(\d+)", text)
    if not match:
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH in pixels, like 480x640.")
    return int(match[1]), int(match[2])


TorchDevices = Annotated[
    list[str],
    device_option(
        *DEVICES,
        "torch",
        help="Where models run: auto, cpu, cuda, cuda:N, tensorrt, openvino or torch (checkpoints; on a GPU in FP32 "
        "and in FP16). Repeatable: each model gets a row per device.",
    ),
]
BenchModels = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL", help=f"{MODEL_HELP} Ratios compare with the first. Default: lite0 and resnet18."),
]
Against = Annotated[
    str | None,
    option(MODEL, metavar="NAME", help="Baseline to add: depth-anything-v2-small, -base or -large. Default: none."),
]
AgainstWeights = Annotated[
    str | None,
    option(MODEL, metavar="WEIGHTS", help="The baseline's weights: hub (download), random, or a folder. Default: hub."),
]
Report = Annotated[
    Path | None, option(OUTPUT, metavar="DIR", help="Folder for a report as one HTML page. Default: not written.")
]


def _key(*names: str, **more: Any) -> Any:  # Any: what `typer.Option` takes and returns
    """Declare an option that sets the key of its name; its help is the key's."""
    field = TrainConfig.model_fields[names[0].removeprefix("--").replace("-", "_")]
    default = f" Default: {field.default}." if field.default is not None else " Default: none."
    said, _, _ = str(field.description).partition(" null:")  # of the file's notation
    return option(TRAINING, *names, help=f"{said}{default}", **more)


Epochs = Annotated[int | None, _key("--epochs", min=1, metavar="N")]
BatchSize = Annotated[int | None, _key("--batch-size", min=1, metavar="N")]
LearningRate = Annotated[float | None, _key("--learning-rate", metavar="RATE")]
Network = Annotated[str | None, _key("--model", metavar="NAME")]
StartFrom = Annotated[str | None, _key("--start-from", metavar="MODEL")]
ImageSize = Annotated[
    str | None, option(TRAINING, metavar="HxW", help="Input size of the network. Default: the one of --model.")
]
ShowConfig = Annotated[
    bool,
    option(TRAINING, "--show-config", help="Print the settings that would be trained with, and stop. Default: off."),
]
TrainConfigFile = Annotated[
    Path | None, option(TRAINING, metavar="FILE", help="YAML file of settings. Default: ./config.yaml if there is one.")
]
TrainData = Annotated[
    str | None,
    option(
        DATA,
        metavar="DIR|LIST|URL",
        help="Training pairs: a folder, a pair list, or a packed folder's URL. Default: data_root.",
    ),
]
ValData = Annotated[
    str | None,
    option(
        DATA,
        metavar="DIR|LIST",
        help="Pairs to validate on after each epoch. Default: val_data, else a val_fraction of the training pairs.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    option(TRAINING, "--set", metavar="KEY=VALUE", help="Change one setting of the config. Repeatable. Default: none."),
]
RunOutput = Annotated[
    Path | None,
    output_option("DIR", "Folder of the run. Default: runs/MODEL-DATE-TIME."),
]
Resume = Annotated[
    bool,
    option(
        TRAINING,
        "--resume",
        help="Go on with the run in --output, or with the newest one, from its last finished epoch. Default: off.",
    ),
]
OutputFolder = Annotated[Path, output_option("DIR", "Folder to write into.")]

Checkpoint = Annotated[
    Path | None,
    typer.Argument(
        metavar="CHECKPOINT",
        help="A training run's folder (its best), a .safetensors, or lite0, the shipped one. Default: the newest run.",
    ),
]
OnnxFile = Annotated[
    Path | None,
    output_option(
        "FILE", "FP32 file to write; the others are named after it. Default: CHECKPOINT with the ending .onnx."
    ),
]
Fp16 = Annotated[bool, option(FORMS, "--fp16", help="Write FP16 too; input, output and head stay FP32. Default: off.")]
Int8 = Annotated[
    bool, option(FORMS, "--int8", help="Write INT8 too: a file for TensorRT and one for x86 CPUs. Default: off.")
]
InputSize = Annotated[
    str | None, option(FORMS, metavar="HxW", help="Input size of the network. Default: the one it was trained at.")
]
Batch = Annotated[
    Literal["1", "dynamic"], option(FORMS, metavar="1|dynamic", help="Batch size of the ONNX files: 1 or dynamic.")
]
EmbedPreprocessing = Annotated[
    str | None,
    option(FORMS, metavar="HxW", help="Write files too that take a camera's uint8 frame of this size. Default: none."),
]
Engine = Annotated[
    bool,
    option(
        FORMS,
        "--engine",
        help="Require a TensorRT engine: an error if none can be built. Default: built with --fp16 "
        "where a GPU and TensorRT are.",
    ),
]
EngineFor = Annotated[
    str | None,
    option(
        FORMS,
        metavar="SM,...",
        help="Build a TensorRT-RTX engine for these GPUs, e.g. sm86,sm89; needs no GPU. Default: none.",
    ),
]
ParityData = Annotated[
    Path | None,
    option(
        GATE,
        metavar="DIR|LIST",
        help="RGB-D pairs to compare accuracy on; INT8 is calibrated on their training split. Default: the demo's.",
    ),
]
Pairs = Annotated[int, option(GATE, min=1, metavar="N", help="Number of pairs to compare on, evenly spread.")]
MaxFp32Diff = Annotated[
    float, option(GATE, metavar="METRES", help="Largest allowed depth difference of FP32 from PyTorch, in metres.")
]
MaxFp16Change = Annotated[float, option(GATE, metavar="SHARE", help="Largest allowed relative change of RMSE by FP16.")]
MaxInt8Change = Annotated[float, option(GATE, metavar="SHARE", help="Largest allowed relative change of RMSE by INT8.")]
ScoresFile = Annotated[
    Path | None,
    option(
        OUTPUT,
        metavar="FILE",
        help="Scores for the files to carry, as `lightdepth eval --json` writes them. Default: the training's.",
    ),
]
Golden = Annotated[
    Path | None,
    option(
        OUTPUT,
        metavar="DIR",
        help="Folder for an input and its expected output, to test an integration with. Default: not written.",
    ),
]

ComparedModels = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="MODEL",
        help=f"{MODEL_HELP} Also a baseline's name, or any ONNX depth model with its spec inside or beside it "
        "(NAME.json). Default: lite0.",
    ),
]
ComparedWith = Annotated[
    str | None,
    option(
        MODEL,
        metavar="NAME",
        help="Baseline to add: depth-anything-v2-small, -base or -large. Default: the small one, unless it is the "
        "model, or two or more models are given.",
    ),
]
Baseline = Annotated[
    Path | None,
    option(MODEL, "--baseline", metavar="FILE", help="Any ONNX depth model, in place of --against. Default: none."),
]
BaselineSpecFile = Annotated[
    Path | None,
    option(
        MODEL,
        metavar="FILE",
        help="How to feed --baseline: JSON with kind (relative-inverse or metric), input_height and input_width. "
        "Default: what the file carries, or the JSON of its name beside it.",
    ),
]
Domain = Annotated[
    Literal["in-domain", "zero-shot"] | None,
    option(
        SCORING,
        metavar="DOMAIN",
        help="How the model's training data relates to the pairs: in-domain or zero-shot. Default: judged by name.",
    ),
]
Visualize = Annotated[int, option(OUTPUT, min=0, metavar="N", help="Number of pictures, evenly spread over the pairs.")]
