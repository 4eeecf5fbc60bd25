"""The `lightdepth data` commands, and `pseudo-label`: prepare RGB-D data for training."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from lightdepth_runtime.cli.app import OneProcessCommand, add_command, make_app
from lightdepth_runtime.cli.options import CAMERA, DATA, OUTPUT, DepthScale, Device, Json, Threads, Workers, option

from .options import OutputFolder

__all__ = ["data_app", "pseudo_label_command"]


def check_command(
    data: Annotated[Path, typer.Argument(metavar="DIR|LIST", help="RGB-D data: what --data of `train` takes.")],
    most: Annotated[
        int | None, option(DATA, min=1, metavar="N", help="Check at most N pairs per split. Default: all.")
    ] = None,
    depth_scale: DepthScale = None,
    max_depth: Annotated[
        float, option(DATA, metavar="METRES", help="How far the scenes reach; much depth beyond it is suspect.")
    ] = 10.0,
    workers: Workers = None,
    sheet: Annotated[
        Path | None, option(OUTPUT, metavar="FILE", help="Draw a contact sheet of the splits as PNG. Default: none.")
    ] = None,
    json: Json = None,
) -> None:
    """Check RGB-D data before training; exit code 1 if something must be repaired first."""
    from lightdepth_runtime.atomic import write_json
    from lightdepth_runtime.progress import track

    from ..prepare.check import check_data
    from ..prepare.sheet import draw_sheet
    from ..processes import join_processes

    options = {"most": most, "unit": depth_scale, "max_depth_m": max_depth, "workers": workers}
    with join_processes() as processes:
        report = check_data(data, **options, processes=processes, progress=track)
        if json:
            write_json(json, report.to_dict())
        if sheet:
            draw_sheet(data, [split.split for split in report.splits], sheet, depth_scale)
    print("\n".join(report.lines()))
    print("No errors." if report.usable else "Not fit to train on: repair the errors above.")
    raise typer.Exit(0 if report.usable else 1)


def pack_command(
    data: Annotated[Path, typer.Argument(metavar="DIR", help="RGB-D data in any packaging.")],
    output: OutputFolder,
    depth_scale: DepthScale = None,
    workers: Workers = None,
) -> None:
    """Decode every pair once into large files that training reads fast.

    Run it again to continue an interrupted packing, or to verify a finished one.
    """
    from lightdepth_runtime.evaluation.unit_suspects import print_warning
    from lightdepth_runtime.progress import track

    from ..prepare.pack import pack_data
    from ..processes import join_processes

    with join_processes() as processes:
        options = {"unit": depth_scale, "workers": workers, "processes": processes}
        packed = pack_data(data, output, **options, progress=track, say=print_warning)
    print(f"{packed.line()}; train on them with --data {output}")


def list_command(
    data: Annotated[Path, typer.Argument(metavar="DIR|LIST", help="RGB-D data in files, in any packaging.")],
    output: Annotated[Path, option(OUTPUT, "--output", "-o", metavar="FILE", help="Pair list to write.")],
    split: Annotated[str, option(DATA, metavar="NAME", help="Which split to list: train or test.")] = "train",
    depth_scale: DepthScale = None,
) -> None:
    """Write the pair list that other commands would use, with its cameras and units."""
    from lightdepth_runtime.evaluation.unit_suspects import warn_of_unit

    from ..prepare.write_list import write_pair_list

    pairs = write_pair_list(data, output, split, unit=depth_scale)
    for note in pairs.notes:
        print(note)
    warn_of_unit(pairs)
    print(f"Wrote {len(pairs)} pairs to {output}; train on them with --data {output}")


def from_bag_command(
    bags: Annotated[
        list[Path],
        typer.Argument(metavar="BAG", help="ROS 1 .bag files, or ROS 2 recordings: a folder, .mcap or .db3 each."),
    ],
    color: Annotated[str, option(DATA, metavar="TOPIC", help="Topic of the colour images, raw or compressed.")],
    depth: Annotated[
        str,
        option(
            DATA,
            metavar="TOPIC",
            help="Topic of depth registered to colour: 16UC1 or mono16 millimetres, 32FC1 metres, or compressedDepth.",
        ),
    ],
    output: OutputFolder,
    max_gap: Annotated[
        float, option(DATA, min=0, metavar="SECONDS", help="Largest time between the two images of a pair.")
    ] = 0.02,
    clock: Annotated[
        Literal["auto", "header", "recorded"],  # ros.source.Clock, without its imports
        option(
            DATA,
            metavar="CLOCK",
            help="Time of an image: its header's stamp (header) or when it was recorded (recorded). auto takes the "
            "stamp unless stamps are unset or repeated.",
        ),
    ] = "auto",
    depth_scale: DepthScale = None,
    workers: Annotated[
        int | None,
        option(
            DATA,
            min=1,
            metavar="N",
            help="Processes that each take a recording. Default: one per usable core.",
        ),
    ] = None,
) -> None:
    """Turn ROS recordings into a pair list to train on; each becomes a scene.

    Recordings that are in the list already are kept, so that an interrupted call can be repeated.
    """
    from lightdepth_runtime.progress import track

    from ..prepare.bags.scene import Extraction
    from ..prepare.from_bag import LIST_NAME, extract_recordings

    settings = Extraction(color, depth, max_gap, clock, depth_scale)
    pairs = extract_recordings(bags, settings, output, workers=workers, say=print, progress=track)
    print(f"Wrote {pairs} pairs to {output / LIST_NAME}; train on them with --data {output}")


def pseudo_label_command(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE", help="Images, and folders of images.")],
    output: OutputFolder,
    model: Annotated[
        str,
        option(
            "Model and device",
            metavar="MODEL",
            help="A metric model: a file, a training run's folder, a shipped model's name, or Depth Anything V2's "
            "folder.",
        ),
    ] = "lite0",
    device: Device = "auto",
    threads: Threads = None,
    workers: Workers = None,
    focal_px: Annotated[
        float | None,
        option(CAMERA, metavar="PIXELS", help="Focal length of the images in pixels. Default: depth is not scaled."),
    ] = None,
    most_disagreement: Annotated[
        float,
        option(
            DATA,
            min=0,
            metavar="SHARE",
            help="Keep a pixel where its depth and the mirrored image's differ by at most this share.",
        ),
    ] = 0.1,
) -> None:
    """Label images without depth with a model's depth, as a pair list to train on."""
    from lightdepth_runtime.progress import track

    from ..prepare.pseudo_label import write_pseudo_labels
    from ..processes import join_processes
    from ..teacher.teacher import Teacher

    with join_processes(device) as processes, Teacher(model, device, threads) as teacher:
        labels = write_pseudo_labels(
            teacher,
            images,
            output,
            most_disagreement=most_disagreement,
            focal_px=focal_px,
            workers=workers,
            processes=processes,
            say=print,
            progress=lambda jobs: track(jobs, "Labelling", len(jobs)),
        )
    kept = f", {labels.kept_share:.0%} of their pixels" if labels.written else ""
    print(f"Labelled {labels.written} images{kept}; {labels.images} pairs in {labels.list_path}")


data_app = make_app("Prepare RGB-D data for training.", is_root=False)
add_command(data_app, "from-bag", from_bag_command, "Commands", OneProcessCommand)
add_command(data_app, "check", check_command, "Commands")
add_command(data_app, "list", list_command, "Commands", OneProcessCommand)
add_command(data_app, "pack", pack_command, "Commands")
