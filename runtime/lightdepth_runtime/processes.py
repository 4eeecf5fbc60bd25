"""The processes that share one command: this one alone, unless a launcher started more."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

from .errors import LightDepthError

__all__ = ["Join", "Processes", "launcher_number", "refuse_launcher", "share_bounds", "work_alone"]

Item = TypeVar("Item")
Part = TypeVar("Part")


class Processes:
    """The processes of one command, as one of them sees them; here it is the only one.

    `number` is which one it is: 0 is the main one, which alone prints and writes the result. `count` is how many there
    are.
    """

    number = 0
    count = 1

    def share(self, items: Sequence[Item], kind: str, *, name: Callable[[Item], str] = str) -> Sequence[Item]:  # noqa: ARG002
        """Return this process's items, consecutive ones. Every process calls it with the same list.

        Args:
            items: all of them.
            kind: what they are, such as "pairs": an error says which ones a process was at.
            name: tells an item from another; processes that see other items are refused.
        """
        return items

    def merge(self, part: Part) -> list[Part]:
        """Return what every process made of its share, in the list's order; the main one alone goes on after it."""
        return [part]


# Joins the processes that a launcher started, given the device that each computes on; a context.
Join = Callable[[str], AbstractContextManager[Processes]]


def launcher_number(name: str, *, default: int = 1, least: int = 1, most: int | None = None) -> int:
    """Return a number that a launcher sets in the environment, or the default where it is not set.

    Raises:
        LightDepthError: it is no whole number, or none of these.
    """
    text = os.environ.get(name) or str(default)
    number = int(text) if re.fullmatch(r"\s*\d{1,9}\s*", text) else -1
    if number < least or (most is not None and number > most):
        bound = f"of at least {least}" if most is None else f"from {least} to {most}"
        raise LightDepthError(
            f"{name} is {text!r}, and a launcher sets it to a whole number {bound}; start the command with torchrun, "
            f"or unset {name}."
        )
    return number


def refuse_launcher() -> None:
    """Refuse a launcher: its processes would each do the whole work, and write the same files.

    Raises:
        LightDepthError: WORLD_SIZE is set to more than 1.
    """
    count = launcher_number("WORLD_SIZE")
    if count > 1:
        raise LightDepthError(
            f"WORLD_SIZE says {count} processes, and this command works in one; start it without a launcher, or unset "
            "WORLD_SIZE. `lightdepth` works in several with train, eval, pseudo-label, data check and data pack."
        )


def work_alone(_device: str) -> AbstractContextManager[Processes]:
    """Work in one process; errors are those of `refuse_launcher`."""
    refuse_launcher()
    return nullcontext(Processes())


def share_bounds(items: int, number: int, count: int) -> tuple[int, int]:
    """Return where the share of process `number` of `count` begins and ends; sizes differ by one at most."""
    return items * number // count, items * (number + 1) // count
