"""The parts of a report page as HTML. Every text that goes in is escaped here; nothing is loaded from elsewhere."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path

from lightdepth_runtime import __version__

__all__ = [
    "Cell",
    "box",
    "command_box",
    "embed_png",
    "heading",
    "number",
    "page",
    "paragraph",
    "picture",
    "plots",
    "table",
]

# The browser itself refuses whatever is not in the file.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
ABSENT = "-"
WORDS = ' class="words"'


@dataclass(frozen=True)
class Cell:
    """One cell: what is shown, what it is sorted by (the text itself if None), and a smaller line below."""

    text: str
    key: float | str | None = None
    note: str = ""
    is_best: bool = False
    is_words: bool = False  # left-aligned, may wrap


def number(value: float | None, style: str, *, scale: float = 1.0, note: str = "", is_best: bool = False) -> Cell:
    """Make a cell of a figure times `scale` in a format such as ".3f"; a dash where it isn't known, sorted last."""
    if value is None:
        return Cell(ABSENT, "")
    return Cell(format(value if scale == 1 else value * scale, style), value, note, is_best)


def page(title: str, parts: Sequence[str]) -> str:
    """Put the parts into one HTML document with its style and script inside."""
    assets = files("lightdepth.report")
    style, script = (assets.joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "sort.js"))
    body = "\n".join(parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f'<link rel="icon" href="data:,">\n<title>{escape(title)}</title>\n<style>\n{style}</style>\n</head>\n<body>\n'
        f"<h1>{escape(title)}</h1>\n{body}\n"
        f'<p class="quiet">Written by LightDepth {escape(__version__)}. A click on a column\'s head sorts by it.</p>\n'
        f"<script>\n{script}</script>\n</body>\n</html>\n"
    )


def heading(text: str, level: int = 2) -> str:
    """Return a heading."""
    return f"<h{level}>{escape(text)}</h{level}>"


def paragraph(text: str, kind: str = "") -> str:
    """Return a paragraph; `kind` "quiet" is small print, "warn" a note that must be seen."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell | str]], *, label: str) -> str:
    """Return a sortable table that scrolls inside itself where it is wider than the page.

    Args:
        columns: the heads.
        rows: cells, as many as heads; the first column stands left.
        label: what the table is, for those who can't see it.
    """
    words = [any(isinstance(cell, Cell) and cell.is_words for cell in column) for column in zip(*rows, strict=True)]
    words = words or [False] * len(columns)
    heads = "".join(
        f'<th scope="col"{WORDS if left else ""}><button type="button">{escape(name)}</button></th>'
        for name, left in zip(columns, words, strict=True)
    )
    body = "\n".join(f"<tr>{''.join(_cell(cell) for cell in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label)}"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _cell(cell: Cell | str) -> str:
    cell = cell if isinstance(cell, Cell) else Cell(cell)
    key = cell.text if cell.key is None else cell.key
    names = [name for name, on in (("best", cell.is_best), ("words", cell.is_words)) if on]
    kind = f' class="{" ".join(names)}"' if names else ""
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return f'<td{kind} data-key="{escape(str(key))}">{escape(cell.text)}{note}</td>'


def box(entries: Mapping[str, str]) -> str:
    """Return a list of names and values."""
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in entries.items())}</dl>"


def command_box(command: Sequence[str]) -> str:
    """Return the words of a command as they are typed in a shell; the program by its name alone."""
    first, *rest = command
    return f"<pre><code>{escape(shlex.join([Path(first).name, *rest]))}</code></pre>"


def picture(source: str, caption: str) -> str:
    """Return a wide picture from a data URL; on a phone it is swiped sideways within its frame."""
    return (
        f'<figure class="panel" tabindex="0"><img src="{escape(source)}" alt="{escape(caption)}">'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def embed_png(path: Path) -> str:
    """Return a PNG file as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def plots(drawings: Sequence[tuple[str, str]]) -> str:
    """Return SVG drawings with their captions, side by side where there is room."""
    figures = (f"<figure>{svg}<figcaption>{escape(caption)}</figcaption></figure>" for svg, caption in drawings)
    return f'<div class="plots">{"".join(figures)}</div>'
