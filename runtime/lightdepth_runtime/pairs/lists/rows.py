"""The lines of a list as pairs of paths, however people and tools write them."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...errors import LightDepthError

__all__ = ["COLUMNS", "WORDS", "Row", "format_row", "parse_rows", "read_lines"]

# The separators to try, in this order: a .txt is written in words, a .csv in columns.
WORDS = " \t,;"
COLUMNS = ",;\t "
EXCERPT = 80  # characters of a faulty line that an error shows

# A word in double quotes; in single ones, where the closing one ends a word (it's/0.jpg has no quotes); or as it
# stands, a blank after a backslash included.
_WORD = re.compile(r"""\s*(?:"([^"]*)"(?=[\s,;]|$)|'([^']*)'(?=[\s,;]|$)|((?:\\[ ]|\S)+))""")
_NEEDS_QUOTES = re.compile(r"""[\s#"'\\,;]""")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?", re.IGNORECASE)
_BYTE = re.compile(r"[\ud800-\udfff]")  # what Python makes of a name's byte that is not UTF-8
_DRIVE = re.compile(r"[A-Za-z]:[\\/]")


@dataclass(frozen=True, slots=True)
class Row:
    """One pair, as it is written."""

    line: int
    color: str
    depth: str


def read_lines(path: Path, what: str = "text list of pairs", line: str = "colour depth") -> list[str]:
    """Return the lines of a text file, which is a list of some kind.

    Raises:
        LightDepthError: it can't be read, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise LightDepthError(
            f"Can't read {path} as a {what} ({error}). Write it as UTF-8 text of `{line}` lines."
        ) from error


def parse_rows(lines: Sequence[str], path: Path, separators: str) -> Iterator[Row]:
    """Yield the pairs of a list's lines: a million at once would take as much memory as what is made of them.

    A line holds two paths, separated by blanks, a tab, a comma or a semicolon. `#` before or after a blank begins a
    comment. A focal length behind the paths (BTS) or a number before them is left out, as is a line of column names at
    the top.

    Args:
        lines: of the list.
        path: of the list, for errors.
        separators: those to try, the likeliest first: `WORDS` or `COLUMNS`.

    Raises:
        LightDepthError: no pairs, or a line without two paths.
    """
    begun = False
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        paths = next((paths for separator in separators if (paths := _paths(_split(line, separator)))), None)
        if paths is not None:
            _check(paths, path, number, line)
            yield Row(number, *paths)
            begun = True
            continue
        readings = [_split(line, separator) for separator in separators]
        if begun or not _names_columns(readings):
            raise _misread(line, max(readings, key=len), f"{path}, line {number}")
    if not begun:
        raise LightDepthError(
            f"{path} lists no pairs; write one `colour depth` line a pair. A line that begins with # is a comment."
        )


def format_row(color: object, depth: object) -> str:
    """Write the line of a pair list that `parse_rows` reads as these two paths.

    Raises:
        LightDepthError: a path that no list can hold: not UTF-8, with a line break, or with both kinds of quotes.
    """
    paths = str(color), str(depth)
    line = " ".join(map(_quoted, paths))
    if line.splitlines() != [line] or _split(line, " ") != [*paths] or any(map(_BYTE.search, paths)):
        raise LightDepthError(
            f"{line!a} can't stand in a pair list, which is UTF-8 with a line a pair; rename what has a line "
            "break, both kinds of quotation marks or bytes of another encoding in its name."
        )
    return line


def _quoted(word: str) -> str:
    if not _NEEDS_QUOTES.search(word):
        return word
    return f"'{word}'" if '"' in word else f'"{word}"'


def _split(line: str, separator: str) -> list[str]:
    """Return the words of a line; a column without content is none."""
    if separator != " ":
        try:
            words = next(csv.reader([line], delimiter=separator, skipinitialspace=True))
        except csv.Error:  # a zero byte, or a word without an end
            return []
        return [word.strip() for word in words if word.strip()]
    words = []
    for match in _WORD.finditer(line):
        double, single, bare = match.groups()
        if bare is not None and bare.startswith("#"):
            break
        quoted = double if double is not None else single
        words.append(bare.replace("\\ ", " ") if bare is not None else quoted)
    return [word for word in words if word]


def _paths(words: Sequence[str]) -> tuple[str, str] | None:
    """Return colour and depth where that is what the words are, with numbers around them or without."""
    numbers = [bool(_NUMBER.fullmatch(word)) for word in words]
    if not all(numbers):
        words = words[numbers.index(False) : len(words) - numbers[::-1].index(False)]
    if len(words) != 2 or any(word.endswith((",", ";")) or word.startswith('"') for word in words):
        return None
    return (words[0], words[1]) if any(map(_looks_like_a_path, words)) else None


def _looks_like_a_path(word: str) -> bool:
    return any(mark in word for mark in "./\\")


def _names_columns(readings: Sequence[Sequence[str]]) -> bool:
    """Tell whether a line can be the header of a table: some words, and not one of them a path."""
    return any(len(words) > 1 for words in readings) and not any(
        _looks_like_a_path(word) for words in readings for word in words
    )


def _check(paths: tuple[str, str], path: Path, number: int, line: str) -> None:
    """Refuse what no reading of the paths can mend."""
    (color, depth), place = paths, f"{path}, line {number}"
    if color == depth:
        raise LightDepthError(
            f"{place}: colour and depth are the same file {color!r}; write the photograph first, then its depth."
        )
    if depth == "None":
        raise LightDepthError(f"{place}: {color!r} has no depth (None); leave such lines out: grep -v ' None' LIST.")
    if any(map(_DRIVE.match, paths)):
        raise LightDepthError(
            f"{place}: {line.strip()[:EXCERPT]!r} names a Windows drive; write the paths relative to the list's folder."
        )


def _misread(line: str, words: Sequence[str], place: str) -> LightDepthError:
    """Return the error for a line that no separator makes a pair of, with the likeliest cause."""
    excerpt = repr(line.strip()[:EXCERPT])
    stamped = [_NUMBER.fullmatch(word) is not None for word in words[:4]]
    if stamped in ([True, False, True, False], [True, False]):
        what = "TUM's list of one camera" if len(words) == 2 else "an association of TUM's tools"
        return LightDepthError(
            f"{place}: {excerpt} is {what}. Give the sequence's folder, whose associations.txt (or rgb.txt and "
            "depth.txt) is read, or write `colour depth` lines without stamps below `# depth: tum`, which is 1/5000 m."
        )
    hint = ""
    if line.count('"') % 2:
        hint = " A closing quotation mark is missing."
    elif " #" in line or "\t#" in line:
        hint = " What follows a blank and # is a comment; a path that begins with # stands in quotes."
    elif len(words) > 2:
        hint = " A path with blanks stands in quotes; of further columns only numbers may stand there."
    elif len(words) == 1:
        hint = " A blank, a tab, a comma or a semicolon stands between them."
    return LightDepthError(
        f"{place}: expected `colour depth`, got {len(words)} word{'s' * (len(words) != 1)}: {excerpt}.{hint}"
    )
