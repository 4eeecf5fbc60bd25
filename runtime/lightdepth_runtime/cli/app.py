"""The commands that need no torch, for `python -m lightdepth_runtime` and for `lightdepth` alike."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from .. import __version__
from ..atomic import atomic_path, write_json
from ..errors import LightDepthError, nearest
from ..estimator import DepthEstimator
from ..evaluation.alignment import Alignment
from ..evaluation.evaluate import EvalResult, evaluate
from ..evaluation.protocol import PROTOCOLS, get_protocol
from ..evaluation.scores import RESAMPLES
from ..infer.lens import Lens
from ..infer.plan import plan_inputs, run_plan
from ..pairs import load_pairs
from ..progress import track
from ..sinks.colorize import Colormap, DepthRange
from ..sinks.open import SAVE_KINDS, SPAN_KINDS, parse_save
from .bench import bench_command
from .calibrate import calibrate_command

__all__ = ["app", "eval_command", "infer_command", "main", "make_app", "run_app"]

ALL_KINDS = ",".join([*SAVE_KINDS, *SPAN_KINDS])
# What each metric is called in papers, and its unit.
METRIC_LABELS = {
    "rmse_m": ("RMSE", "m"),
    "mae_m": ("MAE", "m"),
    "abs_rel": ("AbsRel", ""),
    "sq_rel": ("SqRel", "m"),
    "log10": ("log10", ""),
    "silog": ("SILog", "x 100"),
    "delta1": ("delta < 1.25", ""),
    "delta2": ("delta < 1.25^2", ""),
    "delta3": ("delta < 1.25^3", ""),
}


def _save_kinds(text: str) -> frozenset[str]:
    try:
        return parse_save(text)
    except LightDepthError as error:
        raise typer.BadParameter(str(error)) from error


def _depth_range(text: str) -> DepthRange:
    try:
        near_m, far_m = (float(word) for word in text.split(","))
        return DepthRange(near_m, far_m)
    except (ValueError, LightDepthError) as error:
        raise typer.BadParameter(f"{text!r} is not NEAR,FAR in metres with 0 <= NEAR < FAR, like 0.5,8.") from error


def _protocol_name(text: str) -> str:
    if text not in PROTOCOLS:
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(PROTOCOLS)}{nearest(text, PROTOCOLS)}")
    return text


Device = Annotated[str, typer.Option(help="auto, cpu, cuda, openvino or tensorrt.")]
Threads = Annotated[int | None, typer.Option(min=1, help="CPU threads; the backend's choice by default.")]
Save = Annotated[
    Any,  # Any: Typer takes no frozenset; the parser gives one
    typer.Option(
        parser=_save_kinds,
        metavar=ALL_KINDS,
        help="What to write, separated by commas; of images png,png16,npy by default, of films mp4, of recordings bag.",
    ),
]
Range = Annotated[
    DepthRange | None,
    typer.Option("--range", parser=_depth_range, metavar="NEAR,FAR", help="Metres of the end colours; else each own."),
]
ProtocolName = Annotated[
    str, typer.Option(parser=_protocol_name, metavar="|".join(PROTOCOLS), help="Which pixels count, and how.")
]


def make_app(text: str) -> typer.Typer:
    """Return a Typer app with `--version` and `--debug`, which shows the traceback of an error."""
    app = typer.Typer(help=text, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)

    def version(value: bool) -> None:
        if value:
            print(__version__)
            raise typer.Exit

    @app.callback(help=text)
    def options(
        debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
        version: Annotated[bool, typer.Option("--version", callback=version, is_eager=True)] = False,
    ) -> None:
        """Take what `run_app` and the callback of `--version` read."""

    return app


def run_app(app: typer.Typer) -> None:
    """Run an app and exit: 0 if it worked, 1 with one line on stderr, 2 for a wrong argument, 130 if interrupted."""
    try:
        app()
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:  # the outermost layer: whatever went wrong is one line, unless asked for more
        if "--debug" in sys.argv:
            raise
        text = " ".join(str(error).split())
        if not isinstance(error, LightDepthError):
            text = f"unexpected {type(error).__name__} ({text}); put --debug before the command, and report it."
        print(f"Error: {text}", file=sys.stderr)
        sys.exit(1)


def infer_command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Images, folders of images, videos, ROS recordings, camera:0, rtsp:// URLs."
        ),
    ],
    model: Annotated[Path | None, typer.Option(help="A model file; the shipped model by default.")] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the results.")] = Path("output"),
    colormap: Annotated[Colormap, typer.Option(help="Of the colour picture; near is the bright end.")] = "plasma",
    save: Save = None,
    scale: Range = None,
    focal_px: Annotated[float | None, typer.Option(help="The camera's focal length in pixels of these images.")] = None,
    fov: Annotated[float | None, typer.Option(help="Instead: its horizontal field of view in degrees.")] = None,
    frames: Annotated[int | None, typer.Option(min=1, help="End each video or camera after so many frames.")] = None,
    view: Annotated[bool, typer.Option("--view", help="Show videos and cameras in the Rerun viewer.")] = False,
    topic: Annotated[str | None, typer.Option(help="Of a ROS recording: its images, where it has several.")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Estimate depth of images, videos and cameras: pictures with a scale, millimetres, metres, films, points."""
    plan = plan_inputs(inputs, output, save, Lens(focal_px, fov), topic)
    with DepthEstimator.load(model, device, threads) as estimator:
        print(f"Model {_describe(estimator)}; {plan.describe()}")
        print(f"Device {estimator.backend.device}, {estimator.device_reason}")
        kinds: dict[str, Any] = {"colormap": colormap, "scale": scale}  # Any: each its own type
        outcome = run_plan(estimator, plan, **kinds, most_frames=frames, view=view, say=_warn)
    print(f"Wrote {outcome.files} files to {output}")


def eval_command(
    data: Annotated[Path, typer.Option(metavar="DIR|LIST", help="Folder or pair list with ground truth.")],
    model: Annotated[Path | None, typer.Argument(help="A model file; the shipped model by default.")] = None,
    split: Annotated[str, typer.Option(help="Which split of a folder.")] = "test",
    protocol: ProtocolName = "eigen",
    align: Annotated[Alignment, typer.Option(help="Fit each image's depth to its truth first.")] = "none",
    tta: Annotated[bool, typer.Option("--tta", help="Average with the flipped image's depth.")] = False,
    json_path: Annotated[Path | None, typer.Option("--json", help="Write schema lightdepth.eval/1 here.")] = None,
    device: Device = "auto",
    threads: Threads = None,
) -> None:
    """Score a model on RGB-D pairs under a named protocol."""
    chosen, pairs = get_protocol(protocol, align, flip_tta=tta), load_pairs(data, split)
    # Reserving the file first tells of a folder that can't be written before the work is done.
    with _reserve(json_path) as reserved, DepthEstimator.load(model, device, threads) as estimator:
        progress = _tracker("Evaluating", len(pairs))
        result = evaluate(estimator, pairs, chosen, model=_describe(estimator), progress=progress)
        if reserved:
            write_json(reserved, result.to_dict())
    _show(result)


def _describe(estimator: DepthEstimator) -> str:
    spec, backend = estimator.spec, estimator.backend
    return f"{spec.name} ({spec.precision}, {backend.name} {backend.device})"


def _reserve(path: Path | None) -> AbstractContextManager[Path | None]:
    return atomic_path(path) if path else nullcontext()


def _show(result: EvalResult) -> None:
    console = Console(highlight=False, soft_wrap=True)
    console.print(f"Model     {result.model}")
    left_out = f", {result.left_out} without valid depth left out" if result.left_out else ""
    console.print(f"Data      {result.data} ({result.packaging}), {result.split}: {result.samples} pairs{left_out}")
    console.print(f"Protocol  {result.protocol.describe()}")
    table = Table("metric", "value", "95 % interval", "unit")
    table.columns[1].justify = "right"
    for name, value in result.metrics.to_dict().items():
        label, unit = METRIC_LABELS[name]
        low, high = result.scores.interval[name]
        table.add_row(label, f"{value:.4f}", f"{low:.4f} - {high:.4f}", unit)
    console.print(table)
    console.print(f"Intervals: {result.scores.resampled} drawn anew, {RESAMPLES} times")


def _tracker(label: str, total: int) -> Callable[[Any], Any]:  # Any: passes items of any type through
    return lambda items: track(items, label, total)


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


app = make_app("Metric depth without torch: infer, evaluate, time.")
app.command("infer")(infer_command)
app.command("eval")(eval_command)
app.command("bench")(bench_command)
app.command("calibrate")(calibrate_command)


def main() -> None:
    """Run `python -m lightdepth_runtime`."""
    run_app(app)
