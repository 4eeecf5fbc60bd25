"""The one exception users meet: a sentence that says what was got, what is needed and what to do."""

import difflib
from collections.abc import Iterable
from pathlib import Path

__all__ = ["LightDepthError", "first_line", "nearest", "nearest_path", "without_way_out"]


class LightDepthError(Exception):
    """A problem the user can act on. The command line prints its text alone and exits with 1."""


def first_line(error: BaseException, most: int = 200) -> str:
    """Return how an error's text begins, or its class where it has none, for the middle of another error's sentence."""
    return (next(iter(str(error).strip().splitlines()), "") or type(error).__name__)[:most]


def without_way_out(error: LightDepthError) -> str:
    """Return what an error says was wrong, up to the semicolon before what to do, for another sentence."""
    return str(error).partition(";")[0].rstrip(".")


def nearest(word: str, known: Iterable[str]) -> str:
    """Return ` (did you mean 'x'?)` for an error's text, or an empty string where no known word is close."""
    matches = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {matches[0]!r}?)" if matches else ""


def nearest_path(path: Path) -> str:
    """Return the same for a path that isn't there, out of what lies in its folder, as a path that can be copied."""
    try:
        names = [found.name for found in path.parent.iterdir() if found.name != path.name]  # a link to nothing
    except OSError:
        return ""
    matches = difflib.get_close_matches(path.name, names, n=1, cutoff=0.75)
    return f" (did you mean {str(path.parent / matches[0])!r}?)" if matches else ""
