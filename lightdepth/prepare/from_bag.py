"""Turn a ROS recording with colour and registered depth into a pair list: one scene a recording."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightdepth_runtime.atomic import make_folder, write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.depth_unit import NAMED_UNITS, DepthUnit
from lightdepth_runtime.pairs.folders.matching import match_stamps
from lightdepth_runtime.pairs.lists.comments import IN_MILLIMETRES, describe_camera, read_comments
from lightdepth_runtime.pairs.lists.files import Told
from lightdepth_runtime.ros import ImageMessage, Recording, is_rectified
from lightdepth_runtime.ros.clock import Clock, header_clock_runs
from lightdepth_runtime.spec import Intrinsics

from .pair_writer import PairWriter

__all__ = ["ExtractedPairs", "extract_pairs"]

LIST_NAME = "train.txt"


@dataclass(frozen=True)
class ExtractedPairs:
    """What was written."""

    pairs: int
    list_path: Path
    intrinsics: Intrinsics | None


def extract_pairs(
    bag: Path,
    color_topic: str,
    depth_topic: str,
    output: Path,
    *,
    max_gap_s: float = 0.02,
    clock: Clock = "auto",
    unit: DepthUnit | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> ExtractedPairs:
    """Write the pairs of a recording into `output/RECORDING/`, and add them to the pair list `output/train.txt`.

    Each colour image gets the depth of the nearest stamp, each depth image is used once. Colour is kept as recorded
    where it is JPEG, else written as PNG; depth as 16-bit PNG in millimetres, beyond 65.535 m 0. A pair whose depth has
    no reading is left out. The list carries the unit, and the camera of the colour images, each recording its own. It
    appears, and grows, only when all images are written.

    Args:
        bag: the recording.
        color_topic: colour images, raw or compressed.
        depth_topic: depth registered to them.
        output: the folder.
        max_gap_s: between the stamps of a pair, at most.
        clock: the stamps: "header", "recorded", or "auto", which takes the headers' unless they are unset or repeated.
        unit: of the stored depth; by default what librealsense recorded, else millimetres for whole numbers and metres
            for floats.
        say: told what is worth knowing.

    Raises:
        LightDepthError: a damaged recording, a missing topic, depth of another shape than colour or without a reading,
            no two stamps near enough, a camera that changes, or a scene of this name that is there already.
    """
    scene = bag.resolve().stem
    folder, list_path = output / scene, output / LIST_NAME
    if folder.exists():
        raise LightDepthError(f"{folder} exists already; choose another --output, or delete it and its lines first.")
    if color_topic == depth_topic:
        raise LightDepthError(f"Colour and depth are both {color_topic}; name two topics.")
    with Recording(bag) as recording:
        topics = [recording.choose_topic(color_topic), recording.choose_topic(depth_topic)]
        stamps = _stamps(recording, topics, clock, say)
        matches = match_stamps(*stamps, max_gap_ns=round(max_gap_s * 1e9))
        if not matches:
            raise LightDepthError(
                f"{bag} has no images of {color_topic} and {depth_topic} within {max_gap_s} s of each other; give a "
                "larger --max-gap, or --clock recorded where the two cameras' clocks differ, or look whether both were "
                "recorded at the same time."
            )
        say(f"{len(matches)} pairs of {len(stamps[0])} colour and {len(stamps[1])} depth images")
        unit = unit or recording.depth_unit(topics[1])
        make_folder(output)
        with tempfile.TemporaryDirectory(prefix=f".{scene}.", dir=output) as temporary:
            unfinished = Path(temporary) / scene
            unfinished.mkdir()
            writer = PairWriter(bag, unfinished, is_rectified(topics[0]), unit, say)
            lines = _write_pairs(recording, topics, matches, writer)
            camera = writer.camera
            old = _old_list(list_path, camera, say)
            unfinished.rename(folder)
    known = read_comments(old, list_path, Told())[-1] if old else Told()
    if camera and camera != known.camera:
        old.append(describe_camera(camera))
    if known.unit != NAMED_UNITS["millimetres"]:
        old.append(IN_MILLIMETRES)
    write_text(list_path, "\n".join([*old, *lines]) + "\n")
    return ExtractedPairs(len(lines), list_path, camera)


def _stamps(
    recording: Recording, topics: Sequence[str], clock: Clock, say: Callable[[str], None]
) -> tuple[list[int], list[int]]:
    """Return the stamps of both topics by the clock asked for, each in the order of recording."""
    header: dict[str, list[int]] = {topic: [] for topic in topics}
    recorded: dict[str, list[int]] = {topic: [] for topic in topics}
    for image in recording.images(topics):
        header[image.topic].append(image.stamp_ns)
        recorded[image.topic].append(image.received_ns)
    broken = [topic for topic in topics if not header_clock_runs(header[topic])]
    if clock == "auto" and broken:
        say(
            f"Stamps in the headers of {' and '.join(broken)} are unset or repeated; pairs are matched by the times of "
            "recording. --clock header takes the stamps all the same."
        )
    chosen = recorded if clock == "recorded" or (clock == "auto" and broken) else header
    return chosen[topics[0]], chosen[topics[1]]


def _old_list(path: Path, camera: Intrinsics | None, say: Callable[[str], None]) -> list[str]:
    """Return the lines that are in the list already."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines()
    old = read_comments(lines, path, Told())[-1].camera if lines else None
    if old is not None and camera is None:
        say(f"This recording doesn't say which camera it was made with; it is taken to be the last one of {path}.")
    elif old is None and camera is not None and lines:
        say(f"The recordings that are in {path} already don't say which camera they were made with, unlike this one.")
    return lines


def _write_pairs(
    recording: Recording, topics: Sequence[str], matches: Sequence[tuple[int, int]], writer: PairWriter
) -> list[str]:
    """Write the matched images as they come by, each pair when both are there; return the list's lines.

    Raises:
        LightDepthError: what the writer raises, or no pair with a reading.
    """
    numbers = [{color: n for n, (color, _) in enumerate(matches)}, {depth: n for n, (_, depth) in enumerate(matches)}]
    waiting: dict[int, dict[str, tuple[ImageMessage, Any]]] = {}  # Any: a CameraInfo; rosbags makes the class
    seen: Counter[str] = Counter()
    lines: dict[int, str] = {}
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
            line = writer.write(color, depth, color_info, number)
            if line:
                lines[number] = line
    writer.check()
    return [lines[number] for number in sorted(lines)]
