"""The parts of a report page as HTML. Every text that goes in is escaped here; nothing is loaded from elsewhere."""

import base64
import shlex
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path

from lightdepth_runtime import __version__

__all__ = [
    "box",
    "command_box",
    "embed_png",
    "heading",
    "page",
    "paragraph",
    "picture",
    "plots",
]

# The browser itself refuses whatever is not in the file.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"


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


def box(entries: Mapping[str, str]) -> str:
    """Return a list of names and values."""
    return f"<dl>{''.join(f'<dt>{escape(k)}</dt><dd>{escape(v)}</dd>' for k, v in entries.items())}</dl>"


def command_box(command: Sequence[str]) -> str:
    """Return the words of a command as they are typed in a shell."""
    return f"<pre><code>{escape(shlex.join(command))}</code></pre>"


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
