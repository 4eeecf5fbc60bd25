"""One model of a table; it is drawn for a terminal here, and as Markdown and HTML by `lightdepth.report`."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.table import Table as RichTable

__all__ = ["Cell", "Column", "Table", "number", "print_table"]

ABSENT = "-"
NAME_WIDTH = 26  # characters of the first column on a terminal; longer names go on below, broken between words alone


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, what it is sorted by (the text itself if None), and a smaller line below."""

    text: str
    key: float | str | None = None
    note: str = ""
    is_best: bool = False


@dataclass(frozen=True)
class Column:
    """A column's head; figures stand right, words left; `is_extra` columns are left out where the width is short."""

    name: str
    is_words: bool = False
    is_extra: bool = False


@dataclass(frozen=True)
class Table:
    """Columns and rows of cells; the first column names the rows."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell | str]]

    def cells(self) -> list[list[Cell]]:
        """Return the rows, each text as a cell."""
        return [[cell if isinstance(cell, Cell) else Cell(cell) for cell in row] for row in self.rows]

    def narrow(self) -> Table:
        """Return the table without its extra columns."""
        kept = [index for index, column in enumerate(self.columns) if not column.is_extra]
        rows = [[row[index] for index in kept] for row in self.rows]
        return replace(self, columns=[self.columns[index] for index in kept], rows=rows)

    def to_rich(self) -> RichTable:
        """Draw the table for a terminal, without the cells' notes."""
        from rich import box
        from rich.table import Table as RichTable
        from rich.text import Text

        drawn = RichTable(
            title=self.title or None, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False
        )
        rows = self.cells()
        names = [textwrap.wrap(first.text, NAME_WIDTH, break_long_words=False) for first, *_ in rows]
        longest = max((len(line) for lines in names for line in lines), default=0)
        for index, column in enumerate(self.columns):
            justify = "left" if index == 0 or column.is_words else "right"
            # Rich takes what is too much from the widest column that may be narrower: never from the names.
            name = {"min_width": longest, "no_wrap": True} if index == 0 else {}
            drawn.add_column(column.name, justify=justify, **name)
        for lines, (_, *others) in zip(names, rows, strict=True):
            texts = (Text(cell.text, style="bold" if cell.is_best else "") for cell in others)
            drawn.add_row(Text("\n".join(lines)), *texts)
        return drawn


def number(value: float | None, style: str, *, scale: float = 1.0, note: str = "", is_best: bool = False) -> Cell:
    """Make a cell of a figure times `scale` in a format such as ".3f"; a dash where it isn't known, sorted last."""
    if value is None:
        return Cell(ABSENT, "")
    return Cell(format(value if scale == 1 else value * scale, style), value, note, is_best)


def print_table(table: Table, *, wide: bool = False) -> None:
    """Print a table: the columns that fit 80 characters, or all of them at their full width."""
    from rich.console import Console

    if not wide:
        Console().print(table.narrow().to_rich())
        return
    drawn = table.to_rich()
    console = Console(width=10_000)
    console.width = max(Console().width, console.measure(drawn).maximum)
    console.print(drawn)
