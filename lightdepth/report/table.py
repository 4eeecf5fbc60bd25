"""A table as Markdown and as HTML; the runtime draws the same table for a terminal."""

from html import escape

from lightdepth_runtime.table import Cell, Table

__all__ = ["html_table", "markdown_table"]

WORDS = ' class="words"'


def markdown_table(table: Table) -> str:
    """Return the table in GitHub's Markdown, the best figures bold, notes below their figures."""
    heads = " | ".join(_escape_markdown(column.name) for column in table.columns)
    marks = "|".join("---" if column.is_words else "---:" for column in table.columns)
    rows = ["| " + " | ".join(_markdown_cell(cell) for cell in row) + " |" for row in table.cells()]
    return "\n".join([f"| {heads} |", f"|{marks}|", *rows])


def _markdown_cell(cell: Cell) -> str:
    text = _escape_markdown(cell.text)
    note = f"<br>{_escape_markdown(cell.note)}" if cell.note else ""
    return (f"**{text}**" if cell.is_best else text) + note


def _escape_markdown(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def html_table(table: Table) -> str:
    """Return a sortable table that scrolls inside itself where it is wider than the page; its title is its label."""
    heads = "".join(
        f'<th scope="col"{WORDS * column.is_words}><button type="button">{escape(column.name)}</button></th>'
        for column in table.columns
    )
    words = [column.is_words for column in table.columns]
    body = "\n".join(f"<tr>{''.join(map(_html_cell, row, words))}</tr>" for row in table.cells())
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.title)}"><table>\n'
        f"<thead><tr>{heads}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>"
    )


def _html_cell(cell: Cell, is_words: bool) -> str:
    key = cell.text if cell.key is None else cell.key
    names = [name for name, on in (("best", cell.is_best), ("words", is_words)) if on]
    kind = f' class="{" ".join(names)}"' if names else ""
    note = f"<small>{escape(cell.note)}</small>" if cell.note else ""
    return f'<td{kind} data-key="{escape(str(key))}">{escape(cell.text)}{note}</td>'
