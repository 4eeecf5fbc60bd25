"""Progress: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar, cast

__all__ = ["track"]

T = TypeVar("T")
LINE_INTERVAL_S = 10.0


def track(items: Iterable[T], label: str, total: int | None = None, *, status: Callable[[], str] = str) -> Iterator[T]:
    """Yield the items, showing how many are done, the rate and the time left, on standard error.

    Args:
        items: what to pass through.
        label: what is being done.
        total: how many items there are; None counts them.
        status: called now and then for a few words to show beside the count; without it the rate is shown.
    """
    show = _bar if sys.stderr.isatty() else _lines
    yield from show(items, label, len(cast(Sized, items)) if total is None else total, status)


def _bar(items: Iterable[T], label: str, total: int, status: Callable[[], str]) -> Iterator[T]:
    from rich import progress as shown
    from rich.console import Console

    columns = (
        shown.TextColumn("{task.description}"),
        shown.BarColumn(),
        shown.MofNCompleteColumn(),
        shown.TimeElapsedColumn(),
        shown.TimeRemainingColumn(),
        shown.TextColumn("{task.fields[status]}"),
    )
    start = time.monotonic()
    with shown.Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(label, total=total, status="")
        for done, item in enumerate(items, 1):
            yield item
            rate = done / max(time.monotonic() - start, 1e-9)
            progress.update(task, advance=1, status=status() or _rate(rate))


def _lines(items: Iterable[T], label: str, total: int, status: Callable[[], str]) -> Iterator[T]:
    """Say something at most every ten seconds, so that a log stays short."""
    start = last = time.monotonic()
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now - last >= LINE_INTERVAL_S and done < total:
            rate = done / (now - start)
            left_s = (total - done) / rate
            told = status() or _rate(rate)
            print(f"{label}: {done}/{total}, {left_s:.0f} s left, {told}", file=sys.stderr)
            last = now


def _rate(per_second: float) -> str:
    """Say a rate in the unit in which it is over one."""
    return f"{per_second:.1f} a second" if per_second >= 1 else f"{1 / per_second:.1f} s each"
