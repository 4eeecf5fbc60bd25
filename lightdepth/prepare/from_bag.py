"""Turn a ROS recording with colour and registered depth into a pair list: one scene a recording."""

import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lightdepth_runtime.atomic import make_folder, write_bytes, write_text
from lightdepth_runtime.errors import LightDepthError
from lightdepth_runtime.pairs.files import Told
from lightdepth_runtime.pairs.list_comments import describe_camera, read_comments
from lightdepth_runtime.pairs.matching import match_stamps
from lightdepth_runtime.pairs.pair import fit_color
from lightdepth_runtime.pairs.rows import format_row
from lightdepth_runtime.ros import ImageMessage, Recording, decode_color, decode_depth
from lightdepth_runtime.sinks.open import LARGEST_MM, depth_as_mm, encode_png
from lightdepth_runtime.spec import Intrinsics

__all__ = ["ExtractedPairs", "extract_pairs"]

LIST_NAME = "train.txt"
_JPEG_START = b"\xff\xd8"


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
    say: Callable[[str], None] = lambda _: None,
) -> ExtractedPairs:
    """Write the pairs of a recording into `output/RECORDING/`, and add them to the pair list `output/train.txt`.

    Each colour image gets the depth of the nearest stamp, each depth image is used once. Colour is kept as recorded
    where it is JPEG, else written as PNG; depth as 16-bit PNG in millimetres, beyond 65.535 m 0. The list carries the
    camera of the colour topic's CameraInfo, each recording its own. It appears, and grows, only when all images are
    written.

    Raises:
        LightDepthError: a damaged recording, a missing topic, depth of another size than colour, no two stamps near
            enough, or a scene of this name that is there already.
    """
    scene = bag.resolve().stem
    folder, list_path = output / scene, output / LIST_NAME
    if folder.exists():
        raise LightDepthError(f"{folder} exists already; choose another --output, or delete it and its lines first.")
    if color_topic == depth_topic:
        raise LightDepthError(f"Colour and depth are both {color_topic}; name two topics.")
    with Recording(bag) as recording:
        topics = [recording.choose_topic(color_topic), recording.choose_topic(depth_topic)]
        stamps = _stamps(recording, topics)
        matches = match_stamps(*stamps, max_gap_ns=round(max_gap_s * 1e9))
        if not matches:
            raise LightDepthError(
                f"{bag} has no images of {color_topic} and {depth_topic} within {max_gap_s} s of each other; give a "
                "larger --max-gap, or look whether both were recorded at the same time."
            )
        camera = recording.intrinsics(color_topic)
        old = _old_list(list_path, camera, say)
        say(f"{len(matches)} pairs of {len(stamps[0])} colour and {len(stamps[1])} depth images")
        make_folder(output)
        with tempfile.TemporaryDirectory(prefix=f".{scene}.", dir=output) as temporary:
            unfinished = Path(temporary) / scene
            unfinished.mkdir()
            lines = _write_pairs(recording, topics, matches, unfinished, say)
            unfinished.rename(folder)
    known = read_comments(old, list_path, Told())[-1].camera if old else None
    if camera and camera != known:
        old.append(describe_camera(camera))
    write_text(list_path, "\n".join([*old, *lines]) + "\n")
    return ExtractedPairs(len(lines), list_path, camera)


def _stamps(recording: Recording, topics: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the header stamps of both topics, each in the order of recording."""
    stamps: dict[str, list[int]] = {topic: [] for topic in topics}
    for image in recording.images(topics):
        stamps[image.topic].append(image.stamp_ns)
    color, depth = topics
    return stamps[color], stamps[depth]


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
    recording: Recording,
    topics: Sequence[str],
    matches: Sequence[tuple[int, int]],
    folder: Path,
    say: Callable[[str], None],
) -> list[str]:
    """Write the matched images as they come by, each pair when both are there; return the list's lines."""
    numbers = [{color: n for n, (color, _) in enumerate(matches)}, {depth: n for n, (_, depth) in enumerate(matches)}]
    waiting: dict[int, dict[str, ImageMessage]] = {}
    seen: Counter[str] = Counter()
    lines: dict[int, str] = {}
    for image in recording.images(topics):
        number = numbers[topics.index(image.topic)].get(seen[image.topic])
        seen[image.topic] += 1
        if number is None:
            continue
        pair = waiting.setdefault(number, {})
        pair[image.topic] = image
        if len(pair) == 2:
            color, depth = (waiting[number][topic] for topic in topics)
            if not lines and color.frame_id != depth.frame_id:
                say(
                    f"Colour is in the frame {color.frame_id!r} and depth in {depth.frame_id!r}: take care that "
                    "depth is registered to the colour camera."
                )
            del waiting[number]
            lines[number] = _write_pair(recording.path, color, depth, folder, number)
    return [lines[number] for number in sorted(lines)]


def _write_pair(bag: Path, color: ImageMessage, depth: ImageMessage, folder: Path, number: int) -> str:
    rgb = decode_color(color.message, f"{bag}, {color.topic} at {color.name}")
    depth_name = f"{bag}, {depth.topic} at {depth.name}"
    depth_m = decode_depth(depth.message, depth_name)
    fit_color(rgb, depth_m, depth_name)  # the size that reading will bring colour to
    content = bytes(color.message.data) if hasattr(color.message, "format") else b""
    is_jpeg = content.startswith(_JPEG_START)  # to encode it again would add loss
    stem = f"{number:06d}_{color.name}"  # numbered, since stamps may repeat
    color_name, depth_name = f"{stem}_rgb.{'jpg' if is_jpeg else 'png'}", f"{stem}_depth.png"
    write_bytes(folder / color_name, content if is_jpeg else encode_png(rgb))
    reach = np.where(depth_m * 1000 <= LARGEST_MM, depth_m, np.float32(0))
    write_bytes(folder / depth_name, encode_png(depth_as_mm(reach)))
    return format_row(f"{folder.name}/{color_name}", f"{folder.name}/{depth_name}")
