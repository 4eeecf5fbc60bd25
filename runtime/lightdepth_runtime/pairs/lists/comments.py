"""What comments of a pair list say: the camera and the unit of depth, from their line on."""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from pathlib import Path

from ...errors import LightDepthError
from ...spec import Intrinsics
from ..depth_unit import DepthUnit, parse_depth_unit
from .files import Told

__all__ = ["DEPTH_MARK", "INTRINSICS_MARK", "IN_MILLIMETRES", "UNKNOWN", "describe_camera", "read_comments"]

INTRINSICS_MARK = "# intrinsics:"  # comments to readers that don't know them
DEPTH_MARK = "# depth:"
UNKNOWN = "unknown"  # in place of the value: what was told above ends here, as where lists are joined
IN_MILLIMETRES = f"{DEPTH_MARK} millimetres"
# A comment that tells something begins with a word, maybe with more in brackets, and `:`, `=` or a number.
_TELLS = re.compile(r"#+\s*([A-Za-z_ ]+?)\s*(?:[(\[].*[)\]]\s*)?(?:[:=]|(?=\s[-+\d.]+(?:[\s,;]|$)))\s*(.*)")
_MARKS = {"intrinsics": INTRINSICS_MARK, "depth": DEPTH_MARK}
_WORDS = {
    **dict.fromkeys(("intrinsics", "camera", "intrinsic", "camera intrinsics"), "intrinsics"),
    **dict.fromkeys(("depth", "depth scale", "depth_scale", "depth unit", "depth units"), "depth"),
}
_LIKENESS = 0.8
# Words too short or too common to be guessed from others like them.
_PLAIN_WORDS = {
    **dict.fromkeys(("k", "fx", "fx fy cx cy", "focal", "focal length", "focal px", "focal_px"), "intrinsics"),
    **dict.fromkeys(("scale", "unit", "units"), "depth"),
}
# What a label that says more may end with: `# Kinect intrinsics:`.
_ENDINGS = {
    **dict.fromkeys((" intrinsics", " intrinsic", " k", " camera matrix"), "intrinsics"),
    **dict.fromkeys((" depth scale", " depth unit", " depth units", " depth factor"), "depth"),
}


def read_comments(lines: Sequence[str], path: Path, told: Told, unit: DepthUnit | None = None) -> list[Told]:
    """Return for each line what is told up to it.

    Args:
        lines: of the list.
        path: of the list, for errors.
        told: what is known before the first line.
        unit: of all depth, over what the comments say.

    Raises:
        LightDepthError: a comment that tells something else than six numbers or a unit, or that nearly is one of both.
    """
    states, told = [], Told(unit or told.unit, told.camera)
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if text.startswith("#") and (found := _TELLS.match(text)):
            told = _read(text, *found.groups(), place=f"{path}, line {number}", told=told)
            told = Told(unit or told.unit, told.camera)
        states.append(told)
    return states


def describe_camera(camera: Intrinsics) -> str:
    """Write the comment that `read_comments` reads as this camera."""
    values = (camera.fx, camera.fy, camera.cx, camera.cy, camera.width, camera.height)
    return f"{INTRINSICS_MARK} {' '.join(f'{value:g}' if isinstance(value, int) else repr(value) for value in values)}"


def _read(text: str, word: str, value: str, *, place: str, told: Told) -> Told:
    is_unknown = value.strip() == UNKNOWN
    if text.startswith(INTRINSICS_MARK):
        return Told(told.unit, None if is_unknown else _camera(text, value, place))
    if text.startswith(DEPTH_MARK):
        try:
            return Told(None if is_unknown else parse_depth_unit(value), told.camera)
        except LightDepthError as error:
            raise LightDepthError(f"{place}: {error} Write for example `{DEPTH_MARK} 5000 per metre`.") from error
    meant = _meaning(word)
    if meant is not None:
        example = "518.9 519.5 325.6 253.7 640 480" if meant == "intrinsics" else "5000 per metre"
        raise LightDepthError(
            f"{place}: {text[:80]!r} looks like a comment that tells the {meant} but isn't read as one; write "
            f"`{_MARKS[meant]} {example}`, or begin it with another word."
        )
    return told


def _meaning(word: str) -> str | None:
    """Return which of the two a label nearly names; None for any other word."""
    label = " ".join(word.lower().split())
    slips = difflib.get_close_matches(label, _WORDS, n=1, cutoff=_LIKENESS)
    endings = (meant for ending, meant in _ENDINGS.items() if f" {label}".endswith(ending))
    return _WORDS[slips[0]] if slips else _PLAIN_WORDS.get(label) or next(endings, None)


def _camera(text: str, value: str, place: str) -> Intrinsics:
    try:
        return Intrinsics.from_numbers([float(word) for word in value.replace(",", " ").split()])
    except LightDepthError as error:
        raise LightDepthError(f"{place}: {error}") from error
    except ValueError as error:
        raise LightDepthError(
            f"{place}: `{INTRINSICS_MARK}` needs six numbers, fx fy cx cy width height; got {text[:80]!r}."
        ) from error
