"""Read the values of options; a bad one is refused with what is wanted.

Each parser imports what it needs when it is called: a help page needs none of it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import typer

from ..errors import LightDepthError


def parse_kinds(text: str) -> frozenset[str]:
    """Read what `--save` names."""
    from ..sinks.open import parse_save

    return _read(parse_save, text)


def parse_range(text: str) -> Any:  # Any: a DepthRange
    """Read the ends of a colour map in metres, `NEAR,FAR`."""
    from ..sinks.colorize import DepthRange

    try:
        near_m, far_m = (float(word) for word in text.split(","))
        return DepthRange(near_m, far_m)
    except (ValueError, LightDepthError) as error:
        raise typer.BadParameter(f"{text!r} is not NEAR,FAR in metres with 0 <= NEAR < FAR, like 0.5,8.") from error


def parse_max_sigma(text: str) -> float:
    """Read the largest sigma that is kept."""
    from ..sigma import check_max_sigma

    try:
        check_max_sigma(value := float(text))
    except (ValueError, LightDepthError) as error:
        raise typer.BadParameter(f"{text!r} is not a positive number like 0.4, which stands for 40 %.") from error
    return value


def parse_protocol(text: str) -> str:
    """Read the name of an evaluation protocol."""
    from ..evaluation.protocol import get_protocol

    return _read(get_protocol, text).name


def parse_unit(text: str) -> Any:  # Any: a DepthUnit
    """Read the units of stored depth: a number or a name."""
    from ..pairs.depth_unit import parse_depth_unit

    return _read(parse_depth_unit, text)


def device_parser(*names: str) -> Callable[[str], str]:
    """Return what reads a device: one of the names, or cuda:N."""

    def parse(text: str) -> str:
        if text in names:
            return text
        from ..backends.device import cuda_index

        if _read(cuda_index, text) is not None:
            return text
        raise typer.BadParameter(f"{text!r} is not one of {', '.join(names)} or cuda:N.")

    return parse


def parse_known_distance(text: str) -> Any:  # Any: a KnownDistance, whose module is imported when there is one
    """Read `IMAGE,x,y,METRES`."""
    from ..calibration.fit import KnownDistance

    try:
        image, x, y, depth_m = text.rsplit(",", 3)  # a path may hold commas
        return KnownDistance(Path(image), int(x), int(y), float(depth_m))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r} is not IMAGE,x,y,METRES, like shelf.jpg,320,240,2.15.") from error


def _read(function: Callable[[str], Any], text: str) -> Any:  # Any: what the function returns
    """Call what reads a text; its error is one of the option's value."""
    try:
        return function(text)
    except LightDepthError as error:
        raise typer.BadParameter(str(error)) from error
