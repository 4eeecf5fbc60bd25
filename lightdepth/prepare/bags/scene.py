"""Write the images of a recording into a hidden folder: a scene that is not in any list yet."""

from __future__ import annotations

import pickle
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime.atomic import make_folder, write_bytes
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_unit import DepthUnit
from lightdepth_runtime.pairs.folders.matching import match_stamps
from lightdepth_runtime.ros import ImageMessage, Recording, is_rectified
from lightdepth_runtime.ros.source import Clock, header_clock_runs
from lightdepth_runtime.spec import Intrinsics

from .pair_writer import PairWriter

__all__ = ["WHOLE", "Extraction", "Say", "Scene", "Track", "extract_scene", "scene_name"]

WHOLE = "scene.pickle"  # beside the folder of a scene whose images are all written
Say = Callable[[str], None]
Track = Callable[[Iterable[Any], str, int], Iterable[Any]]  # Any: passes items of any type through


@dataclass(frozen=True)
class Extraction:
    """How pairs are found in a recording.

    `depth_topic` is registered to `color_topic`. `max_gap_s` is between the stamps of a pair, at most. `clock` chooses
    the stamps: "header", "recorded", or "auto", which takes the headers' unless they are unset or repeated. `unit` is
    that of the stored depth, by default what librealsense recorded, else millimetres for whole numbers and metres for
    floats.
    """

    color_topic: str
    depth_topic: str
    max_gap_s: float = 0.02
    clock: Clock = "auto"
    unit: DepthUnit | None = None


@dataclass(frozen=True)
class Scene:
    """A recording whose images are written into a folder that is still hidden; `said` is what to tell of it."""

    name: str
    hidden: Path
    lines: list[str]
    camera: Intrinsics | None
    said: tuple[str, ...] = ()


def scene_name(bag: Path) -> str:
    """Return what a recording's scene is called."""
    return bag.resolve().stem


def extract_scene(
    settings: Extraction,
    output: Path,
    bag: Path,
    *,
    say: Say,
    progress: Track = lambda pairs, _label, _total: pairs,
) -> Scene:
    """Write the images of a recording into a hidden folder; errors are those of `extract_recordings`."""
    if settings.color_topic == settings.depth_topic:
        raise LightDepthError(f"Colour and depth are both {settings.color_topic}; name two topics.")
    name = scene_name(bag)
    with Recording(bag) as recording:
        topics = [recording.choose_topic(topic) for topic in (settings.color_topic, settings.depth_topic)]
        stamps = _stamps(recording, topics, settings.clock, say)
        matches = match_stamps(*stamps, max_gap_ns=round(settings.max_gap_s * 1e9))
        if not matches:
            raise LightDepthError(
                f"{bag} has no images of {settings.color_topic} and {settings.depth_topic} within "
                f"{settings.max_gap_s} s of each other; give a larger --max-gap, or --clock recorded where the two "
                "cameras' clocks differ, or look whether both were recorded at the same time."
            )
        say(f"{len(matches)} pairs of {len(stamps[0])} colour and {len(stamps[1])} depth images")
        unit = settings.unit or recording.depth_unit(topics[1])
        make_folder(output)
        hidden = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=output))
        try:
            (hidden / name).mkdir()
            writer = PairWriter(bag, hidden / name, is_rectified(topics[0]), unit, say)
            pairs = progress(_matched(recording, topics, matches), f"Extracting {name}", len(matches))
            lines = {number: writer.write(color, depth, info, number) for number, color, depth, info in pairs}
            writer.check()
            listed = [line for number in sorted(lines) if (line := lines[number])]
            scene = Scene(name, hidden, listed, writer.camera)
            write_bytes(hidden / WHOLE, pickle.dumps(scene))
        except BaseException:
            shutil.rmtree(hidden, ignore_errors=True)
            raise
    return scene


def _stamps(recording: Recording, topics: Sequence[str], clock: Clock, say: Say) -> tuple[list[int], list[int]]:
    """Return the stamps of both topics by the clock asked for, each in the order of recording."""
    header: dict[str, list[int]] = {topic: [] for topic in topics}
    recorded: dict[str, list[int]] = {topic: [] for topic in topics}
    for image in recording.images(topics):
        header[image.topic].append(image.stamp_ns)
        recorded[image.topic].append(image.received_ns)
    broken = [topic for topic in topics if not header_clock_runs(header[topic])]
    if clock == "auto" and broken:
        if not all(header_clock_runs(recorded[topic]) for topic in topics):
            raise LightDepthError(
                f"{recording.path}: neither the stamps in the headers of {' and '.join(broken)} nor the times of "
                "recording tell images apart, so that none can be paired; set one of the two and write it again, or "
                "give --clock header or recorded to take one as it is."
            )
        say(
            f"Stamps in the headers of {' and '.join(broken)} are unset or repeated; pairs are matched by the times of "
            "recording. --clock header takes the stamps all the same."
        )
    chosen = recorded if clock == "recorded" or (clock == "auto" and broken) else header
    return chosen[topics[0]], chosen[topics[1]]


def _matched(
    recording: Recording, topics: Sequence[str], matches: Sequence[tuple[int, int]]
) -> Iterator[tuple[int, ImageMessage, ImageMessage, Any]]:  # Any: a CameraInfo; rosbags makes the class
    """Yield the number, colour, depth and CameraInfo of each pair when both images have come by."""
    numbers = [{color: n for n, (color, _) in enumerate(matches)}, {depth: n for n, (_, depth) in enumerate(matches)}]
    waiting: dict[int, dict[str, tuple[ImageMessage, Any]]] = {}
    seen: Counter[str] = Counter()
    for image, info in recording.images_with_info(topics[0], also=topics[1]):
        number = numbers[topics.index(image.topic)].get(seen[image.topic])
        seen[image.topic] += 1
        if number is None:
            continue
        pair = waiting.setdefault(number, {})
        pair[image.topic] = image, info
        if len(pair) == 2:
            (color, color_info), (depth, _) = (pair[topic] for topic in topics)
            del waiting[number]
            yield number, color, depth, color_info
