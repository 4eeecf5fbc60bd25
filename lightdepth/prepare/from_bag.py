"""Turn ROS recordings with colour and registered depth into a pair list: one scene a recording."""

from __future__ import annotations

import glob
import pickle
import shutil
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from lightdepth_runtime.atomic import write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_unit import NAMED_UNITS
from lightdepth_runtime.pairs.lists.comments import (
    IN_MILLIMETRES,
    INTRINSICS_MARK,
    UNKNOWN,
    describe_camera,
    read_comments,
)
from lightdepth_runtime.pairs.lists.files import Told
from lightdepth_runtime.parallel import Workers, worker_count

from .bags.scene import WHOLE, Extraction, Say, Scene, Track, extract_scene, scene_name

__all__ = ["LIST_NAME", "extract_recordings"]

LIST_NAME = "train.txt"


def extract_recordings(
    bags: Sequence[Path],
    settings: Extraction,
    output: Path,
    *,
    workers: int | None = 1,
    say: Say = lambda _: None,
    progress: Track = lambda items, _label, _total: items,
) -> int:
    """Write the pairs of recordings into `output/RECORDING/`, and list them in their order in `output/train.txt`.

    Returns how many pairs were written.

    Each colour image gets the depth of the nearest stamp, each depth image is used once. Colour is kept as recorded
    where it is JPEG, else written as PNG; depth as 16-bit PNG in millimetres, beyond 65.534 m 0. A pair whose depth has
    no reading is left out. The list carries the unit, and the camera of the colour images, each recording its own. It
    grows only when all images of a recording are written.

    Of several, one that can't be used doesn't keep the others from it, and one that is in the list already stays as it
    is: an interrupted call can be repeated. After an interrupt the list has all recordings that were whole.

    Args:
        bags: the recordings.
        settings: for all of them.
        output: the folder.
        workers: processes that each take a recording; None for as many as there are cores.
        say: told what is worth knowing.
        progress: wraps the recordings to show progress; where there is only one, its pairs.

    Raises:
        LightDepthError: a damaged recording, a missing topic, depth of another shape than colour or without a reading,
            no two stamps near enough, a camera that changes, two recordings of one name, or a folder that is there and
            (of several) not in the list.
    """
    if len(bags) == 1:
        _check_new(output / scene_name(bags[0]))
        scene = extract_scene(settings, output, bags[0], say=say, progress=progress)
        try:
            _reveal(scene, output, say)
        finally:
            shutil.rmtree(scene.hidden, ignore_errors=True)
        return len(scene.lines)
    waiting = _choose(bags, output, say)
    written = 0
    faults: list[str] = []
    try:
        with Workers(min(len(waiting), worker_count(workers, len(waiting), fewest=2))) as pool:
            found = pool.map(partial(_attempt, settings, output), waiting.values())
            for scene in progress(found, "Extracting recordings", len(waiting)):
                if isinstance(scene, str):
                    faults.append(scene)
                else:
                    _reveal(scene, output, say)
                    written += len(scene.lines)
    finally:
        for name in waiting:
            for hidden in output.glob(f".{glob.escape(name)}.????????"):  # as tempfile.mkdtemp names it
                if (hidden / WHOLE).is_file():  # written while an earlier one was still in work
                    _reveal(pickle.loads((hidden / WHOLE).read_bytes()), output, say)
                shutil.rmtree(hidden, ignore_errors=True)
    if faults:
        raise LightDepthError(
            f"{len(faults)} of {len(bags)} recordings can't be used, the others are in {output / LIST_NAME}; the "
            f"first: {faults[0]}"
        )
    return written


def _check_new(folder: Path) -> None:
    if folder.exists():
        raise LightDepthError(f"{folder} exists already; choose another --output, or delete it and its lines first.")


def _choose(bags: Sequence[Path], output: Path, say: Say) -> dict[str, Path]:
    """Return by their scenes' names the recordings that are not in the list."""
    named: dict[str, Path] = {}
    for bag in bags:
        other = named.setdefault(scene_name(bag), bag)
        if other is not bag:
            raise LightDepthError(f"{other} and {bag} would both be {scene_name(bag)}; rename one of them.")
    lines = _listed(output / LIST_NAME)
    kept = [name for name in named if any(line.lstrip('"').startswith(f"{name}/") for line in lines)]
    if kept:
        say(f"Kept from an earlier call: {', '.join(kept)}")
    waiting = {name: bag for name, bag in named.items() if name not in kept}
    for name in waiting:
        _check_new(output / name)
    return waiting


def _attempt(settings: Extraction, output: Path, bag: Path) -> Scene | str:
    """Extract a recording, in a worker; return why where it can't be used."""
    said: list[str] = []
    try:
        return replace(extract_scene(settings, output, bag, say=said.append), said=tuple(said))
    except LightDepthError as error:
        return str(error)


def _reveal(scene: Scene, output: Path, say: Say) -> None:
    """Give a scene's folder its place and add its pairs to the list."""
    for text in scene.said:
        say(f"{scene.name}: {text}")
    path = output / LIST_NAME
    lines = _listed(path)
    known = read_comments(lines, path, Told())[-1] if lines else Told()
    (scene.hidden / scene.name).rename(output / scene.name)
    (scene.hidden / WHOLE).unlink()
    if scene.camera != known.camera:
        lines.append(describe_camera(scene.camera) if scene.camera else f"{INTRINSICS_MARK} {UNKNOWN}")
    if known.unit != NAMED_UNITS["millimetres"]:
        lines.append(IN_MILLIMETRES)
    write_text(path, "\n".join([*lines, *scene.lines]) + "\n")


def _listed(path: Path) -> list[str]:
    """Return the lines that are in the list already."""
    return path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
