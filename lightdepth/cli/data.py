"""The `lightdepth data` commands: prepare RGB-D data for training. Each imports what it needs when it runs."""

from pathlib import Path
from typing import Annotated

import typer

__all__ = ["data_app"]

data_app = typer.Typer(
    help="Prepare RGB-D data for training.", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


@data_app.callback()
def data_command() -> None:
    """Prepare RGB-D data for training."""


@data_app.command("from-bag")
def from_bag_command(
    bag: Annotated[Path, typer.Argument(help="A ROS 1 .bag file, or a ROS 2 recording: folder, .mcap or .db3.")],
    color: Annotated[str, typer.Option(metavar="TOPIC", help="Colour images, raw or compressed.")],
    depth: Annotated[str, typer.Option(metavar="TOPIC", help="Depth registered to colour: 16UC1 mm or 32FC1 m.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the images and the pair list.")],
    max_gap: Annotated[float, typer.Option(min=0, help="Seconds between the stamps of a pair, at most.")] = 0.02,
) -> None:
    """Turn a ROS recording into a pair list to train on."""
    from ..prepare.from_bag import extract_pairs

    extracted = extract_pairs(bag, color, depth, output, max_gap_s=max_gap, say=print)
    print(f"Wrote {extracted.pairs} pairs to {extracted.list_path}; train on them with --data {output}")


@data_app.command("check")
def check_command(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="What --data takes: a folder, or one list.")],
    json: Annotated[Path | None, typer.Option(help="Write everything found as JSON.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Draw a contact sheet of both splits as PNG.")] = None,
    most: Annotated[int | None, typer.Option(min=1, help="Look at so many pairs of each split.")] = None,
) -> None:
    """Check RGB-D data before training; exit code 1 where something must be mended first."""
    from ..prepare.check import check_and_write

    report = check_and_write(data, json_path=json, sheet_path=sheet, most=most)
    print("\n".join(report.lines()))
    print("No errors." if report.usable else "Not fit to train on: mend the errors above.")
    raise typer.Exit(0 if report.usable else 1)


@data_app.command("pack")
def pack_command(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="A folder in any packaging.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The packed folder, which --data takes too.")],
) -> None:
    """Decode every pair once into large files that training maps into memory; run again to continue or to verify."""
    from lightdepth_runtime.progress import track

    from ..prepare.pack import pack_data

    packed = pack_data(data, output, progress=lambda pairs, label: track(pairs, label, len(pairs)))
    print(f"{packed.line()}; train on them with --data {output}")
